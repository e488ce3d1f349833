"""The lane of the bank, by itself and beside slots outside of it."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind
from tests.scheduler.rows import NO_BOUND, TRAVERSAL_SECONDS, Batch, FakeRow, World

BANK = (1, 2, 3)
ROWS = st.lists(st.builds(FakeRow, slot=st.integers(0, 5), num_tokens=st.integers(1, 64)), max_size=120)
SMALL_BATCHES = SchedulerSettings(max_batch_rows=4)


def rows(slot: int, count: int) -> list[FakeRow]:
    return [FakeRow(slot) for _ in range(count)]


def executor(slot: int) -> ExecutorKind:
    return ExecutorKind.BANK if slot in BANK else ExecutorKind.SWITCH


def step(world: World) -> Batch:
    batch = world.step()
    assert batch is not None
    return batch


def test_a_batch_mixes_slots_of_the_bank_and_base_rows() -> None:
    """And never those of a slot outside of it."""
    world = World(bank=BANK)
    mixed = [FakeRow(slot) for slot in (2, BASE_SLOT, 1, 2, 3)]
    outside = rows(4, 2)
    world.arrive(*mixed[:3], *outside, *mixed[3:])

    world.run()

    assert [BASE_SLOT, 4] == [batch.lane for batch in world.batches]
    assert [{*mixed}, {*outside}] == [{*batch.rows} for batch in world.batches]


@given(ROWS)
def test_a_closed_backlog_costs_one_traversal_for_each_adapter_outside_of_the_bank(backlog: list[FakeRow]) -> None:
    """Where no wait bound interferes."""
    world = World(SchedulerSettings(max_wait_seconds=NO_BOUND), bank=BANK)
    world.arrive(*backlog)

    world.run()

    assert len({row.slot for row in backlog} - {BASE_SLOT, *BANK}) == world.num_traversals


@given(ROWS)
def test_the_bank_alone_fills_its_batches(backlog: list[FakeRow]) -> None:
    """Whatever the adapters: only the limits end a batch."""
    world = World(SMALL_BATCHES, bank=range(1, 6))
    world.arrive(*backlog)

    world.run()

    assert math.ceil(len(backlog) / SMALL_BATCHES.max_batch_rows) == len(world.batches)
    assert world.num_traversals == 0


def test_bank_rows_ride_beside_without_a_traversal() -> None:
    """The adapter that is active outside of the bank stays so."""
    world = World(SchedulerSettings(max_batch_rows=1, max_wait_seconds=NO_BOUND), bank=BANK)
    world.arrive(*(FakeRow(slot) for slot in (4, 1, 4, 2, 4)))

    world.run()

    assert world.num_traversals == 1


@pytest.mark.parametrize("max_wait_seconds", [0.001, NO_BOUND])
def test_a_flood_in_the_bank_never_delays_a_quiet_slot_beyond_the_batch_under_way(max_wait_seconds: float) -> None:
    """Whatever the bound: nothing is deferred within the bank."""
    world = World(SchedulerSettings(max_wait_seconds=max_wait_seconds), bank=BANK)
    world.arrive(*rows(1, 2000))
    for index in range(50):
        step(world)
        world.arrive(*rows(1, 100))
        quiet = [FakeRow(slot) for slot in (2, 3, BASE_SLOT)[: 1 + index % 3]]
        world.arrive(*quiet)

        assert {*quiet} <= {*step(world).rows}


def test_a_flood_across_more_slots_than_a_batch_holds_delays_by_a_row_of_each() -> None:
    """Not by what each of them has waiting."""
    world = World(SMALL_BATCHES, bank=range(1, 20))
    for slot in range(1, 18):
        world.arrive(*rows(slot, 50))
    for _ in range(10):
        step(world)
    quiet = FakeRow(19)
    world.arrive(quiet)
    num_before = len(world.served)

    world.run()

    assert world.served.index(quiet) - num_before <= 17


def test_rows_that_are_too_late_expire_and_their_neighbours_are_served() -> None:
    """Passed deadlines, and those that no batch of their own can meet; no traversal counts."""
    world = World(bank=BANK)
    passed, hopeless = FakeRow(1, deadline=Deadline(1.0)), FakeRow(2, 10, Deadline(2.0 + world.costs.batch(9)))
    met, other = FakeRow(2, 10, Deadline(2.0 + world.costs.batch(20) + 1e-6)), FakeRow(1)
    world.arrive(passed, hopeless, met, other)
    world.now = 2.0

    world.run()

    assert {passed, hopeless} == {*world.expired}
    assert [{met, other}] == [{*batch.rows} for batch in world.batches]


def test_a_batch_ends_before_a_row_that_would_make_another_late() -> None:
    """Though they are of different slots."""
    world = World(bank=BANK)
    urgent, fits = FakeRow(1, 10, Deadline(world.costs.batch(20) + 1e-6)), FakeRow(2, 10)
    world.arrive(urgent, fits, FakeRow(3, 1))

    world.run()

    assert [2, 1] == [len(batch.rows) for batch in world.batches]
    assert (urgent, fits) == world.batches[0].rows


WEIGHTS = [{1: 1.0, 2: 1.0, 4: 1.0}, {1: 1.0, 2: 4.0, 4: 2.0, 5: 1.0}, {1: 0.1, 4: 0.3}]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_weights_are_shares_under_saturation_in_the_bank_and_outside_of_it(weights: dict[int, float]) -> None:
    """Slots that always have rows get compute in proportion to their weights, whatever computes them."""
    world = World(SchedulerSettings(max_wait_seconds=0.05), bank=BANK)
    for slot, weight in weights.items():
        world.configure(slot, weight, executor=executor(slot))
        world.arrive(*rows(slot, 100))
    compute = dict.fromkeys(weights, 0.0)

    while world.now < 150:
        batch = step(world)
        for row in batch.rows:
            compute[row.slot] += batch.seconds / len(batch.rows)
            world.arrive(FakeRow(row.slot))

    shares = [seconds / sum(compute.values()) for seconds in compute.values()]
    assert pytest.approx([weight / sum(weights.values()) for weight in weights.values()], rel=0.15) == shares


@pytest.mark.parametrize(
    ("flooding", "quiet"),
    [
        pytest.param((1,), (4, 5, 6), id="one of the bank floods"),
        pytest.param((1, 2, 3, BASE_SLOT), (4, 5, 6), id="all of the bank flood"),
        pytest.param((4,), (1, 2, 5), id="one outside of the bank floods"),
    ],
)
def test_a_flood_in_one_lane_bounds_the_wait_in_others(flooding: Sequence[int], quiet: Sequence[int]) -> None:
    """By a slot's own bound, the turn of the flood, and one batch of each other slot."""
    limits = SchedulerSettings(max_wait_seconds=0.2, max_turn_seconds=0.3)
    world = World(limits, bank=BANK)
    world.arrive(*(FakeRow(slot) for slot in flooding for _ in range(500)))
    awaited = [FakeRow(quiet[index % len(quiet)]) for index in range(60)]
    waits = []
    for row in awaited:
        world.arrive(row, *(FakeRow(slot) for slot in flooding for _ in range(100)))
        while world.policy.queues.depth(row.slot):
            batch = step(world)
            waits += [batch.begins_at - served.enqueued_at for served in batch.rows if served.slot in quiet]

    one_batch = world.costs.batch(32 * 10) + TRAVERSAL_SECONDS
    assert len(awaited) == len(waits)
    assert max(waits) <= limits.max_wait_seconds + limits.max_turn_seconds + 4 * one_batch


def test_the_bound_of_any_slot_in_the_bank_makes_its_lane_overdue() -> None:
    """`max_wait` is per slot, and matters beside other lanes alone."""
    world = World(SchedulerSettings(max_batch_rows=1, max_wait_seconds=NO_BOUND), bank=BANK)
    world.configure(2, max_wait_seconds=0.001, executor=ExecutorKind.BANK)
    world.arrive(FakeRow(4), FakeRow(4))
    world.run()
    world.arrive(FakeRow(4))
    world.now += 0.001
    world.arrive(FakeRow(1), FakeRow(2))
    world.now += 0.002

    world.run()

    assert [1, 2, 4] == [row.slot for row in world.served[2:]]


def test_a_near_deadline_in_the_bank_makes_its_lane_overdue() -> None:
    """Before a batch of the adapter that is active, which came first."""
    world = World(SchedulerSettings(max_wait_seconds=NO_BOUND), bank=BANK)
    world.arrive(FakeRow(4))
    world.run()
    world.arrive(FakeRow(4))
    world.now += 0.001
    world.arrive(FakeRow(1), FakeRow(2, deadline=Deadline(world.now + world.costs.batch(20) + 1e-5)))
    world.now += 1e-6

    world.run()

    assert [{4}, {1, 2}, {4}] == [{row.slot for row in batch.rows} for batch in world.batches]
    assert [] == world.expired


@given(ROWS)
def test_service_in_the_bank_is_fifo_within_a_slot_and_complete(backlog: list[FakeRow]) -> None:
    """Whatever the order between slots."""
    world = World(SMALL_BATCHES, bank=BANK)
    world.arrive(*backlog)

    world.run()

    for slot in range(6):
        assert [row for row in backlog if row.slot == slot] == [row for row in world.served if row.slot == slot]
