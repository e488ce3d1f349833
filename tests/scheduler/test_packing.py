"""How many rows go into one batch."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.packing import BatchLimits, pack, padded_tokens
from adaptermux_server.types import Deadline
from tests.scheduler.rows import BATCH_SECONDS, TOKEN_SECONDS, FakeRow, costs

LIMITS = BatchLimits(max_rows=4, max_tokens=100)


def rows(*lengths: int, deadline: float = math.inf) -> list[FakeRow]:
    return [FakeRow(1, length, Deadline(deadline)) for length in lengths]


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        pytest.param((), 0, id="no row"),
        pytest.param((100,), 1, id="a lone row at the limit"),
        pytest.param((10, 10), 2, id="both fit"),
        pytest.param((10, 10, 10, 10, 10), 4, id="max_rows"),
        pytest.param((40, 40, 40), 2, id="max_tokens"),
        pytest.param((20, 20, 40), 2, id="max_tokens counts padding"),
        pytest.param((10, 10, 34), 2, id="max_tokens where the padding would be worth it"),
    ],
)
def test_batch_is_the_longest_prefix_that_is_worth_it(lengths: tuple[int, ...], expected: int) -> None:
    """Limits count padded tokens."""
    assert expected == pack(rows(*lengths), LIMITS, costs(), start=0.0)


def test_padding_is_taken_where_a_batch_of_its_own_would_cost_more() -> None:
    """Whether it pads the others or the row itself: a batch costs as much as 50 tokens here."""
    break_even = round(BATCH_SECONDS / TOKEN_SECONDS)
    wide = BatchLimits(max_rows=4, max_tokens=1000)

    for shorter, longer in ((1, break_even), (break_even, 1)):
        assert 2 == pack(rows(shorter, longer), wide, costs(), start=0.0)
    for shorter, longer in ((1, break_even + 2), (break_even + 2, 1)):
        assert 1 == pack(rows(shorter, longer), wide, costs(), start=0.0)


def test_first_row_that_would_be_late_alone_is_not_packed() -> None:
    """Nothing is computed for a row whose deadline comes before its own batch could end."""
    alone = costs().batch(10)

    assert 0 == pack(rows(10, deadline=7 + alone - 1e-6), LIMITS, costs(), start=7.0)
    assert 1 == pack(rows(10, deadline=7 + alone + 1e-6), LIMITS, costs(), start=7.0)


def test_batch_does_not_grow_beyond_what_makes_a_row_in_it_late() -> None:
    """The first row's deadline bounds the batch that it shares."""
    urgent = FakeRow(1, 10, Deadline(costs().batch(20) + 1e-6))

    assert 2 == pack([urgent, *rows(10, 10, 10)], LIMITS, costs(), start=0.0)


def test_padded_tokens_are_longest_times_rows() -> None:
    """Of an empty batch there are none."""
    assert 0 == padded_tokens([])
    assert 3 * 30 == padded_tokens(rows(10, 30, 20))


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 8), st.integers(100, 400))
def test_a_batch_keeps_its_limits_and_is_never_empty(lengths: list[int], max_rows: int, max_tokens: int) -> None:
    """A lone row always fits, so the queue always moves."""
    limits = BatchLimits(max_rows, max_tokens)

    count = pack(rows(*lengths), limits, costs(), start=0.0)

    assert 1 <= count <= max_rows
    assert padded_tokens(rows(*lengths[:count])) <= max_tokens
