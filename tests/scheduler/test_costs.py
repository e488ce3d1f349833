"""The cost model finds what it is shown, and no measurement upsets it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.packing import BatchLimits, split

SIZES = (16, 64, 128, 512, 1024, 2048)
LIMITS = BatchLimits(32, 4096)
# Seconds of a forward's fixed part, and of a token.
MACHINES = ((1e-4, 1e-7), (2e-2, 1e-5), (5e-3, 1e-4), (9.5e-3, 2.8e-4), (1e-3, 1e-3))


@given(st.floats(1e-6, 1.0), st.floats(1.0, 1e4))
def test_exact_measurements_give_the_exact_line(token_seconds: float, ratio: float) -> None:
    """On any machine, whatever the priors; but for what the prior still says of small fixed parts."""
    model, batch_seconds = CostModel(), ratio * token_seconds

    for index in range(60):
        padded = SIZES[index % len(SIZES)]
        model.learn_batch(padded, batch_seconds + token_seconds * padded)

    assert pytest.approx(token_seconds, rel=0.01) == model.token_seconds
    assert pytest.approx(batch_seconds, rel=0.01, abs=token_seconds) == model.batch_seconds


def test_forwards_of_one_batch_are_told_from_their_tokens() -> None:
    """A batch of n forwards has n fixed parts."""
    model = CostModel()

    for index in range(60):
        num_forwards = 1 + index % 3
        model.learn_batch(400, num_forwards * 0.010 + 400 * 0.0002, num_forwards)

    assert pytest.approx((0.010, 0.0002), rel=0.01) == (model.batch_seconds, model.token_seconds)


@pytest.mark.parametrize(("batch_seconds", "token_seconds"), MACHINES)
@pytest.mark.parametrize("noise", [0.03, 0.1, 0.2])
def test_what_is_learnt_divides_batches_nearly_as_well_as_the_truth(
    batch_seconds: float, token_seconds: float, noise: float
) -> None:
    """From its own choices alone, on a noisy machine on which one batch in thirty is late by up to ten times."""
    rng, model, truth = random.Random(0), CostModel(), CostModel(0.0, batch_seconds, token_seconds)
    seconds = {model: 0.0, truth: 0.0}

    for _ in range(200):
        lengths = [min(44, max(10, round(4 + rng.lognormvariate(2.5, 0.5)))) for _ in range(LIMITS.max_rows)]
        for costs in seconds:
            forwards = split(lengths, LIMITS, costs)
            padded = sum(max(lengths[i] for i in forward) * len(forward) for forward in forwards)
            exact = len(forwards) * batch_seconds + padded * token_seconds
            seconds[costs] += exact
            if costs is model:
                late = rng.uniform(2, 10) if rng.random() < 1 / 30 else 1.0
                model.learn_batch(padded, exact * rng.lognormvariate(0, noise) * late, len(forwards))

    assert seconds[model] < 1.07 * seconds[truth]


@pytest.mark.parametrize("seed", range(8))
def test_noise_of_long_batches_does_not_drown_short_ones(seed: int) -> None:
    """Errors count in proportion: a fifth of a long batch is many times a short one."""
    rng, model, truth = random.Random(seed), CostModel(), model_of(0.010, 0.0001)

    for index in range(120):
        padded = SIZES[index % len(SIZES)]
        model.learn_batch(padded, truth.batch(padded) * rng.uniform(0.8, 1.2))

    assert pytest.approx(truth.batch(16), rel=0.07) == model.batch(16)


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_lasting_change_is_followed(factor: float) -> None:
    """Not at once, as one such batch means nothing; within some fifty."""
    model = CostModel()
    for index in range(200):
        model.learn_batch(SIZES[index % len(SIZES)], 0.010 + 0.0001 * SIZES[index % len(SIZES)])

    for index in range(60):
        model.learn_batch(SIZES[index % len(SIZES)], factor * (0.010 + 0.0001 * SIZES[index % len(SIZES)]))

    assert pytest.approx(factor * model_of(0.010, 0.0001).batch(512), rel=0.15) == model.batch(512)


def model_of(batch_seconds: float, token_seconds: float) -> CostModel:
    return CostModel(batch_seconds=batch_seconds, token_seconds=token_seconds)


def test_batches_of_one_size_are_predicted_though_the_line_is_not_determined() -> None:
    """Other sizes stay in proportion: a batch ten times as large isn't thought cheaper."""
    model = CostModel()

    for _ in range(200):
        model.learn_batch(200, 0.1)

    assert pytest.approx(0.1, rel=0.01) == model.batch(200)
    assert model.batch(2000) > model.batch(200)


def test_one_outlier_moves_the_estimate_only_a_little() -> None:
    """A batch that took a hundred times as long (a page fault, a debugger) pulls no harder than a late one."""
    model = CostModel()
    for index in range(200):
        model.learn_batch(SIZES[index % len(SIZES)], 0.010 + 0.0001 * SIZES[index % len(SIZES)])
    before = model.batch(512)

    model.learn_batch(512, 100 * before)

    assert model.batch(512) < 1.05 * before


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


def test_doubt_outlasts_the_next_measurement() -> None:
    """Which says that a batch takes no longer than is thought by then."""
    model = CostModel()
    for index in range(60):
        model.learn_batch(SIZES[index % len(SIZES)], 0.010 + 0.0001 * SIZES[index % len(SIZES)])
    before = model.batch(512)

    for _ in range(20):
        model.doubt()
    model.learn_batch(512, model.batch(512))

    assert pytest.approx(0.98**20 * before, rel=1e-3) == model.batch(512)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 32), st.floats(0, 1e4), st.booleans()), max_size=150))
def test_estimates_stay_positive_and_finite(measurements: list[tuple[int, int, float, bool]]) -> None:
    """Whatever was measured, nothing is thought free or endless."""
    model = CostModel()

    for padded, num_forwards, seconds, is_doubtful in measurements:
        model.learn_batch(padded, seconds, num_forwards)
        model.learn_traversal(seconds)
        if is_doubtful:
            model.doubt()

    estimates = model.estimates()
    for value in (estimates.traversal_seconds, estimates.batch_seconds, estimates.token_seconds):
        assert 0 < value < float("inf")
