"""The cost model finds what it is shown, and no measurement upsets it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.costs import CostModel

SIZES = (16, 64, 128, 512, 1024, 2048)


def test_batch_line_is_found_from_measurements_far_from_the_priors() -> None:
    """After 200 noisy batches both parts are within a tenth."""
    noise, model = random.Random(0), CostModel()

    for index in range(200):
        padded = SIZES[index % len(SIZES)]
        model.learn_batch(padded, (0.020 + 0.0005 * padded) * noise.uniform(0.99, 1.01))

    assert pytest.approx(0.0005, rel=0.1) == model.token_seconds
    assert pytest.approx(0.020, rel=0.2) == model.batch_seconds


def test_batches_of_one_size_are_predicted_though_the_line_is_not_determined() -> None:
    """Other sizes stay in proportion: a batch ten times as large isn't thought cheaper."""
    model = CostModel()

    for _ in range(200):
        model.learn_batch(200, 0.1)

    assert pytest.approx(0.1, rel=0.01) == model.batch(200)
    assert model.batch(2000) > model.batch(200)


def test_one_outlier_moves_the_estimate_only_a_little() -> None:
    """A batch that took a hundred times as long (a page fault, a debugger) counts for at most four times."""
    model = CostModel()
    for index in range(200):
        model.learn_batch(SIZES[index % len(SIZES)], 0.010 + 0.0001 * SIZES[index % len(SIZES)])
    before = model.batch(512)

    model.learn_batch(512, 100 * before)

    assert model.batch(512) < 1.5 * before


def test_traversals_are_averaged() -> None:
    """The average follows a lasting change."""
    model = CostModel(traversal_seconds=0.001)

    for _ in range(60):
        model.learn_traversal(0.012)

    assert pytest.approx(0.012, rel=0.01) == model.traversal_seconds


def test_doubt_shrinks_every_estimate() -> None:
    """What was thought too dear is tried again some day."""
    model = CostModel(1.0, 1.0, 1.0)

    model.doubt()

    assert (0.98, 0.98, 0.98) == (model.traversal_seconds, model.batch_seconds, model.token_seconds)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 1e4)), max_size=60))
def test_estimates_stay_positive_and_finite(measurements: list[tuple[int, float]]) -> None:
    """Whatever was measured, nothing is thought free or endless."""
    model = CostModel()

    for padded, seconds in measurements:
        model.learn_batch(padded, seconds)
        model.learn_traversal(seconds)

    estimates = model.estimates()
    for value in (estimates.traversal_seconds, estimates.batch_seconds, estimates.token_seconds):
        assert 0 < value < float("inf")
