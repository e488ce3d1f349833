"""How many rows go into one batch."""

import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.packing import BatchLimits, pack, split
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
        pytest.param((101,), 1, id="a lone row beyond the limit"),
        pytest.param((10, 10), 2, id="both fit"),
        pytest.param((10, 10, 10, 10, 10), 4, id="max_rows"),
        pytest.param((40, 40, 40), 2, id="max_tokens"),
        pytest.param((20, 20, 60), 3, id="max_tokens doesn't count padding"),
    ],
)
def test_batch_is_the_longest_prefix_within_limits(lengths: tuple[int, ...], expected: int) -> None:
    """Rows are taken in their order, whatever their lengths."""
    assert expected == pack(rows(*lengths), LIMITS, costs(), start=0.0)


def test_first_row_that_would_be_late_alone_is_not_packed() -> None:
    """Nothing is computed for a row whose deadline comes before its own batch could end."""
    alone = costs().batch(10)

    assert 0 == pack(rows(10, deadline=7 + alone - 1e-6), LIMITS, costs(), start=7.0)
    assert 1 == pack(rows(10, deadline=7 + alone + 1e-6), LIMITS, costs(), start=7.0)


def test_batch_does_not_grow_beyond_what_makes_a_row_in_it_late() -> None:
    """The first row's deadline bounds the batch that it shares."""
    urgent = FakeRow(1, 10, Deadline(costs().batch(20) + 1e-6))

    assert 2 == pack([urgent, *rows(10, 10, 10)], LIMITS, costs(), start=0.0)


def test_padding_counts_where_a_deadline_is_near() -> None:
    """Rows of 10 and 40 tokens take a padded forward, which costs less than two without padding."""
    together = costs().batch(80)

    assert 1 == pack(rows(10, 40, deadline=together - 1e-6), LIMITS, costs(), start=0.0)
    assert 2 == pack(rows(10, 40, deadline=together + 1e-6), LIMITS, costs(), start=0.0)


@given(st.lists(st.tuples(st.integers(1, 90), st.floats(0.0, 0.06)), min_size=1, max_size=8))
def test_a_batch_is_the_longest_in_which_no_row_is_late(lengths_and_deadlines: list[tuple[int, float]]) -> None:
    """By what its forwards take together."""
    limits = BatchLimits(max_rows=6, max_tokens=1000)
    waiting = [FakeRow(1, length, Deadline(deadline)) for length, deadline in lengths_and_deadlines]

    count = pack(waiting, limits, costs(), start=0.0)

    assert count == 0 or not is_late(waiting[:count], limits)
    assert count == min(len(waiting), limits.max_rows) or is_late(waiting[: count + 1], limits)


def is_late(batch: Sequence[FakeRow], limits: BatchLimits) -> bool:
    lengths = [row.num_tokens for row in batch]
    return seconds_of(split(lengths, limits, costs()), lengths) > min(row.deadline.at for row in batch)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 8), st.integers(100, 400))
def test_a_batch_keeps_its_limits_and_is_never_empty(lengths: list[int], max_rows: int, max_tokens: int) -> None:
    """A lone row always fits, so the queue always moves."""
    count = pack(rows(*lengths), BatchLimits(max_rows, max_tokens), costs(), start=0.0)

    assert 1 <= count <= max_rows
    assert sum(lengths[:count]) <= max_tokens


def seconds_of(forwards: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    return sum(costs().batch(max(lengths[i] for i in forward) * len(forward)) for forward in forwards)


def test_rows_share_a_forward_where_padding_costs_less_than_another_forward() -> None:
    """A forward's fixed part costs as much as 50 tokens here."""
    break_even = round(BATCH_SECONDS / TOKEN_SECONDS)
    wide = BatchLimits(max_rows=4, max_tokens=1000)

    assert ((1, 0),) == split([1, break_even], wide, costs())
    assert ((1,), (0,)) == split([1, break_even + 2], wide, costs())


def test_rows_of_like_length_are_brought_together() -> None:
    """Whatever the order in which they came."""
    forwards = split([5, 200, 6, 210, 5], BatchLimits(max_rows=32, max_tokens=1000), costs())

    assert ({1, 3}, {0, 2, 4}) == tuple(map(set, forwards))


def test_no_row_makes_no_forward() -> None:
    """An empty batch is no batch."""
    assert () == split([], LIMITS, costs())


def divisions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """All ways to divide items into groups."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for groups in divisions(rest):
        yield [[first], *groups]
        for index in range(len(groups)):
            yield [*groups[:index], [first, *groups[index]], *groups[index + 1 :]]


@given(st.lists(st.integers(1, 120), min_size=1, max_size=6), st.integers(60, 400))
def test_no_other_division_costs_less(lengths: list[int], max_tokens: int) -> None:
    """Each row is in one forward, each forward within the limit but for a lone row, at the least cost of all."""
    forwards = split(lengths, BatchLimits(32, max_tokens), costs())
    allowed = [
        groups
        for groups in divisions(range(len(lengths)))
        if all(len(group) == 1 or max(lengths[i] for i in group) * len(group) <= max_tokens for group in groups)
    ]

    assert sorted(i for forward in forwards for i in forward) == list(range(len(lengths)))
    assert pytest.approx(min(seconds_of(groups, lengths) for groups in allowed)) == seconds_of(forwards, lengths)
