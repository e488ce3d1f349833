"""How much adapters are asked for, as time goes by."""

import pytest

from adaptermux_server.adapters.demand import HALF_LIFE_SECONDS, Demand
from tests.adapters.tiers.world import new_adapter

A, B, C = (new_adapter(name, 1) for name in "abc")
LONG_AGO = 5_000_000.0
"""A clock that was started long before, as monotonic ones are."""


def test_a_request_counts_half_as_much_after_each_half_life() -> None:
    demand = Demand()

    demand.note([A], LONG_AGO)

    counts = [demand.of(A, LONG_AGO + number * HALF_LIFE_SECONDS) for number in range(3)]
    assert pytest.approx([1.0, 0.5, 0.25]) == counts


def test_requests_add_up_each_with_its_own_age() -> None:
    demand = Demand()

    demand.note([A, B], LONG_AGO)
    demand.note([A], LONG_AGO + HALF_LIFE_SECONDS)
    demand.note([A], LONG_AGO + 2 * HALF_LIFE_SECONDS)

    now = LONG_AGO + 2 * HALF_LIFE_SECONDS
    assert pytest.approx((1.75, 0.25, 0.0)) == (demand.of(A, now), demand.of(B, now), demand.of(C, now))


def test_those_asked_for_most_come_first() -> None:
    demand = Demand()
    for wanted in ([A], [B], [B], [A], [A], [C]):
        demand.note(wanted, LONG_AGO)

    assert [A, B, C] == demand.known()


def test_a_late_request_outweighs_several_early_ones() -> None:
    demand = Demand()
    for _ in range(3):
        demand.note([A], LONG_AGO)

    demand.note([B], LONG_AGO + 2 * HALF_LIFE_SECONDS)

    assert [B, A] == demand.known()


def test_bringing_the_counts_up_to_date_changes_nothing_but_forgets_what_has_faded() -> None:
    demand, later = Demand(), LONG_AGO + 5 * HALF_LIFE_SECONDS
    demand.note([A], LONG_AGO)
    demand.note([B, B, B, B], LONG_AGO)
    before = demand.of(B, later)

    demand.forget_faded(later)

    assert pytest.approx((0.125, 0.125, 0.0)) == (before, demand.of(B, later), demand.of(A, later))
    assert [B] == demand.known()


def test_one_may_be_forgotten_at_once_whether_it_is_known_or_not() -> None:
    demand = Demand()
    demand.note([A, B], LONG_AGO)

    demand.forget(A)
    demand.forget(C)

    assert [B] == demand.known()


@pytest.mark.parametrize("idle_half_lives", [99, 101, 10_000, 10_000_000])
def test_no_time_is_too_long(idle_half_lives: int) -> None:
    """A count that is never brought up to date, and a server that is idle for years, must not overflow."""
    demand, later = Demand(), LONG_AGO + idle_half_lives * HALF_LIFE_SECONDS
    demand.note([A], LONG_AGO)

    demand.note([B], later)

    assert pytest.approx((0.0, 1.0)) == (demand.of(A, later), demand.of(B, later))
    demand.forget_faded(later + idle_half_lives * HALF_LIFE_SECONDS)
    assert [] == demand.known()


def test_counts_stay_exact_through_a_day_of_requests() -> None:
    demand = Demand()
    for second in range(0, 86_400, 60):
        demand.note([A], LONG_AGO + second)

    assert pytest.approx(2.0) == demand.of(A, LONG_AGO + 86_340)
