"""The offline minimum, against trying all plans."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bounds import minimum_visits


@pytest.mark.parametrize(
    ("arrivals", "longest_wait", "expected"),
    [
        ({}, 1.0, 0),
        ({1: []}, 1.0, 0),
        ({1: [5.0]}, 0.0, 1),
        ({1: [0.0, 1.0]}, 1.0, 1),
        ({1: [0.0, 1.0]}, 0.9, 2),
        ({1: [2.0, 0.0, 1.0, 3.0]}, 1.0, 2),
        ({1: [0.0], 2: [0.0]}, 10.0, 2),
    ],
)
def test_minimum_visits(arrivals: dict[int, list[float]], longest_wait: float, expected: int) -> None:
    """A visit serves what one adapter has sent in the last `longest_wait` seconds, its beginning included."""
    assert expected == minimum_visits(arrivals, longest_wait)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True), st.integers(0, 8))
def test_no_plan_needs_fewer_visits(arrivals: list[int], longest_wait: int) -> None:
    """Trying all sets of visit times finds none smaller."""
    latest = [arrival + longest_wait for arrival in arrivals]

    def in_time(visits: tuple[int, ...]) -> bool:
        return all(any(arrival <= at <= arrival + longest_wait for at in visits) for arrival in arrivals)

    fewest = next(n for n in range(1, 7) if any(in_time(visits) for visits in combinations(latest, n)))

    assert fewest == minimum_visits({1: [float(arrival) for arrival in arrivals]}, float(longest_wait))
