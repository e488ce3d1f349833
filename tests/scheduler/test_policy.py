"""The promises of the policy, each by examples or by properties, in a world of exact costs."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline
from tests.scheduler.rows import NO_BOUND, TRAVERSAL_SECONDS, FakeRow, World

UNBOUNDED = SchedulerSettings(max_wait_seconds=NO_BOUND)
ROWS = st.lists(st.builds(FakeRow, slot=st.integers(0, 5), num_tokens=st.integers(1, 64)), max_size=120)
SMALL_BATCHES = SchedulerSettings(max_batch_rows=4, max_wait_seconds=0.1, max_turn_seconds=NO_BOUND)
BOUND = SMALL_BATCHES.max_wait_seconds


def rows(slot: int, count: int) -> list[FakeRow]:
    return [FakeRow(slot) for _ in range(count)]


def test_nothing_waits_nothing_to_do() -> None:
    """An empty queue gives an empty decision."""
    assert World().step() is None


@given(ROWS)
def test_closed_backlog_costs_one_traversal_for_each_adapter(backlog: list[FakeRow]) -> None:
    """Where no wait bound interferes; the base is free."""
    world = World(UNBOUNDED)
    world.arrive(*backlog)

    world.run()

    assert len({row.slot for row in backlog} - {BASE_SLOT}) == world.num_traversals


@given(ROWS)
def test_backlog_within_the_wait_bound_costs_one_traversal_for_each_adapter(backlog: list[FakeRow]) -> None:
    """Overdue adapters don't split visits that began with all their rows present and fit a turn."""
    world = World(SchedulerSettings(max_batch_rows=4, max_wait_seconds=0.02, max_turn_seconds=10.0))
    world.arrive(*backlog)

    world.run()

    assert len({row.slot for row in backlog} - {BASE_SLOT}) == world.num_traversals


def test_the_resident_adapter_is_free() -> None:
    """A backlog begins with the slot that is active already, though another has waited longer."""
    world = World(UNBOUNDED)
    world.arrive(FakeRow(2))
    world.run()
    world.arrive(*rows(1, 3), *rows(2, 3))

    world.run()

    assert [2, 2, 1] == [batch.lane for batch in world.batches]
    assert world.num_traversals == 2


def test_base_rows_ride_beside_without_a_traversal() -> None:
    """Rows for the base between two batches of an adapter leave the adapter active."""
    world = World(replace(UNBOUNDED, max_batch_rows=1))
    world.arrive(FakeRow(1), FakeRow(BASE_SLOT), FakeRow(1), FakeRow(BASE_SLOT))

    world.run()

    assert world.num_traversals == 1


@given(ROWS, st.lists(st.integers(0, 30), min_size=120, max_size=120))
def test_overdue_slots_are_served_in_the_order_of_their_due_times(arriving: list[FakeRow], gaps: list[int]) -> None:
    """Before any that isn't overdue; only the turn in progress comes before."""
    world = World(SMALL_BATCHES)
    in_turn = BASE_SLOT
    for row, gap in zip(arriving, gaps, strict=False):
        world.arrive(row)
        if gap > 10:
            continue
        due = {slot: world.policy.queues[slot].oldest_arrival + BOUND for slot in world.policy.queues}
        is_overdue = min(due.values()) <= world.now

        batch = world.step()

        assert batch is not None
        if is_overdue and batch.lane != in_turn:
            assert min(due.values()) == due[batch.lane]
        in_turn = batch.lane if batch.lane in world.policy.queues else BASE_SLOT


def test_a_slot_of_its_own_bound_goes_first_when_that_has_passed() -> None:
    """`max_wait` is per slot."""
    world = World(UNBOUNDED)
    world.configure(2, max_wait_seconds=0.001)
    world.arrive(FakeRow(1), FakeRow(2))
    world.now = 0.002

    world.run()

    assert [2, 1] == [batch.lane for batch in world.batches]


def test_a_near_deadline_makes_a_slot_overdue() -> None:
    """Early enough for its traversal and its batch."""
    world = World(UNBOUNDED)
    world.arrive(FakeRow(1), FakeRow(2, deadline=Deadline(TRAVERSAL_SECONDS + world.costs.batch(10) + 1e-6)))
    world.now = 1e-6

    world.run()

    assert [2, 1] == [batch.lane for batch in world.batches]
    assert [] == world.expired


def test_rows_that_are_too_late_expire_without_a_forward() -> None:
    """Passed deadlines, and those that a batch of their own can't meet: its traversal counts."""
    world = World()
    passed, hopeless, met = (FakeRow(1, deadline=Deadline(at)) for at in (1.0, 2.015, 3.0))
    world.arrive(passed, hopeless, met)
    world.now = 2.0

    world.run()

    assert [passed, hopeless] == world.expired
    assert [met] == world.served


def test_an_estimate_that_is_far_too_high_does_not_refuse_for_ever() -> None:
    """Rows refused on an estimate alone cast doubt on it, until one is tried."""
    world = World()
    world.costs.batch_seconds = 10.0
    num_tries = 0

    while not world.batches and num_tries < 1000:
        world.arrive(FakeRow(1, deadline=Deadline(world.now + 1.0)))
        world.run()
        num_tries += 1

    assert len(world.batches) == 1


def test_rows_past_their_deadline_cast_no_doubt() -> None:
    """That they were late says nothing about costs."""
    world = World()
    before = world.costs.estimates()
    world.arrive(FakeRow(1, deadline=Deadline(1.0)))
    world.now = 2.0

    world.run()

    assert before == world.costs.estimates()


@pytest.mark.parametrize("flooding", [BASE_SLOT, 1])
def test_a_flood_bounds_the_wait_of_others(flooding: int) -> None:
    """A row of a quiet slot waits for its bound, the turn of the flood, and one batch of each other slot at most."""
    limits = SchedulerSettings(max_wait_seconds=0.2, max_turn_seconds=0.3)
    world = World(limits)
    quiet = [FakeRow(2 + index % 3) for index in range(60)]
    world.arrive(*rows(flooding, 2000))
    waits = []
    for row in quiet:
        world.arrive(row, *rows(flooding, 100))
        while row.slot in world.policy.queues:
            batch = world.step()
            assert batch is not None
            waits += [batch.begins_at - served.enqueued_at for served in batch.rows if served.slot != flooding]

    one_batch = world.costs.batch(32 * 10) + TRAVERSAL_SECONDS
    assert len(quiet) == len(waits)
    assert max(waits) <= limits.max_wait_seconds + limits.max_turn_seconds + 4 * one_batch


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 2.0, 4.0), (1.0, 20.0), (0.1, 0.1, 0.2, 0.2)])
@pytest.mark.parametrize("max_wait_seconds", [0.05, 0.5])
def test_weights_are_shares_under_saturation(weights: tuple[float, ...], max_wait_seconds: float) -> None:
    """Slots that always have rows get compute in proportion to their weights."""
    world = World(SchedulerSettings(max_wait_seconds=max_wait_seconds))
    for slot, weight in enumerate(weights, start=1):
        world.configure(slot, weight)
        world.arrive(*rows(slot, 100))
    compute = dict.fromkeys(range(1, len(weights) + 1), 0.0)

    while world.now < 150:
        batch = world.step()
        assert batch is not None
        compute[batch.lane] += batch.seconds
        world.arrive(*rows(batch.lane, len(batch.rows)))

    shares = [seconds / sum(compute.values()) for seconds in compute.values()]
    assert pytest.approx([weight / sum(weights) for weight in weights], rel=0.15) == shares


def test_saturation_does_not_lose_more_than_a_ninth_to_traversals() -> None:
    """Turns grow with what a traversal costs."""
    world = World(SchedulerSettings(max_wait_seconds=0.001, max_turn_seconds=0.001))
    for slot in range(1, 9):
        world.arrive(*rows(slot, 300))
    total = 0.0
    while all(slot in world.policy.queues for slot in range(1, 9)):
        batch = world.step()
        assert batch is not None
        total += batch.seconds

    assert world.num_traversals * TRAVERSAL_SECONDS <= total / 8 + TRAVERSAL_SECONDS


def leading_seconds(world: World, slot: int) -> float:
    """Compute of the slot before the other's first batch, where both have many rows and no patience."""
    num_before = len(world.batches)
    world.arrive(*rows(1, 1000), *rows(2, 1000))
    while {*(batch.lane for batch in world.batches[num_before:])} <= {slot}:
        world.step()
    return sum(batch.seconds for batch in world.batches[num_before:-1])


IMPATIENT = SchedulerSettings(max_wait_seconds=0.001)


def test_who_was_alone_owes_nothing() -> None:
    """Compute that nobody else wanted isn't charged: a whole turn is left when somebody comes."""
    world = World(IMPATIENT)
    world.arrive(*rows(1, 2000))
    for _ in range(30):
        world.step()

    assert pytest.approx(IMPATIENT.max_turn_seconds, abs=world.costs.batch(320)) == leading_seconds(world, 1)


def test_who_has_no_rows_left_gives_up_its_turn() -> None:
    """Rows that come right after don't prolong it before those who waited."""
    world = World(IMPATIENT)
    world.arrive(*rows(1, 64), *rows(2, 64))
    while 1 in world.policy.queues:
        world.step()
    world.arrive(*rows(1, 64))

    batch = world.step()

    assert batch is not None
    assert batch.lane == 2


def test_a_deadline_does_not_overtake_what_was_overdue_before_it_came() -> None:
    """Else tight deadlines could starve those who set none."""
    world = World(SMALL_BATCHES)
    world.now = 0.09
    world.arrive(FakeRow(1))
    world.now = 0.09 + BOUND + 0.01
    world.arrive(*(FakeRow(2, deadline=Deadline(world.now + 0.025)) for _ in range(32)))

    batch = world.step()

    assert batch is not None
    assert batch.lane == 1


def test_forgotten_slots_leave_nothing_behind() -> None:
    """A slot that is used again by another adapter starts afresh."""
    world = World()
    world.configure(1, weight=2.0)
    world.arrive(FakeRow(1))
    world.run()

    world.policy.forget_slot(1)

    assert (0, {}) == (len(world.policy._shares), world.policy._turns)
    assert {BASE_SLOT} == world.policy.resident_slots


@settings(max_examples=50)
@given(ROWS)
def test_service_is_fifo_within_a_slot_and_complete(backlog: list[FakeRow]) -> None:
    """Whatever the order between slots."""
    world = World(SMALL_BATCHES)
    world.arrive(*backlog)

    world.run()

    for slot in range(6):
        assert [row for row in backlog if row.slot == slot] == [row for row in world.served if row.slot == slot]
