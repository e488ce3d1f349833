"""How long rows are thought to take, against what happens to them where costs are exactly what is expected."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptermux_server.errors import DeadlineExceededError
from adaptermux_server.scheduler.admission import Admission, Demand, demands_of
from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind
from tests.scheduler.rows import FakeRow, World, costs

SETTINGS = SchedulerSettings(max_batch_rows=8, max_batch_tokens=256)
WEIGHTS = {1: 1.0, 2: 1.0, 3: 4.0, 4: 0.25}
ROWS = st.builds(FakeRow, slot=st.sampled_from(sorted(WEIGHTS)), num_tokens=st.integers(1, 64))
BACKLOGS = st.lists(ROWS, max_size=60)
FULL_BATCH_SECONDS = costs().batch(8 * 10)
"""Of rows of 10 tokens."""


def bank_world() -> World:
    world = World(SETTINGS)
    for slot, weight in WEIGHTS.items():
        world.configure(slot, weight, executor=ExecutorKind.BANK)
    return world


def admission_of(world: World) -> Admission[FakeRow]:
    """One that knows the costs."""
    for _ in range(16):
        world.costs.learn_batch(80, FULL_BATCH_SECONDS)
    world.costs.batch_seconds, world.costs.token_seconds = costs().batch_seconds, costs().token_seconds
    return Admission(world.settings, world.costs, world.policy)


@dataclass(frozen=True)
class Scene:
    """What a call of one slot meets."""

    backlog: Sequence[FakeRow]
    num_served: int
    later: Sequence[Sequence[FakeRow]]
    """What comes after it, batch by batch."""
    part: float
    """How much of the batch under way is still to come."""


SCENES = st.builds(
    Scene, backlog=BACKLOGS, num_served=st.integers(0, 4), later=st.lists(BACKLOGS, max_size=5), part=st.floats(0, 1)
)


@settings(max_examples=200, deadline=None)
@given(
    scene=SCENES,
    slot=st.sampled_from(sorted(WEIGHTS)),
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=20),
    length=st.none() | st.integers(1, 32),
)
def test_no_row_ends_before_its_estimate(scene: Scene, slot: int, lengths: list[int], length: int | None) -> None:
    """Whatever waits, whoever comes later, and with a batch under way; but for what a crowded slot must spare.

    Fixed parts of batches are reckoned by the mean length, so they are exact only where all have one length.
    """
    world, rows = bank_world(), [FakeRow(slot, one) for one in lengths]
    if length is None:
        world.costs.batch_seconds = 0.0
    else:
        for row in itertools.chain(rows, scene.backlog, *scene.later):
            row.num_tokens = length
    world.arrive(*scene.backlog)
    batches = [batch for _ in range(scene.num_served) if (batch := world.step())]
    asked_at = world.now - scene.part * batches[-1].seconds if batches else world.now
    admission = Admission(SETTINGS, world.costs, world.policy)
    estimate = admission.ends_at(slot, demand_of(rows), asked_at) - spare_seconds(world, slot, len(rows))

    world.arrive(*rows)
    for more in scene.later:
        world.step()
        world.arrive(*more)
    world.run()

    ends_at = max(batch.begins_at + batch.seconds for batch in world.batches if set(rows) & set(batch.rows))
    assert estimate <= ends_at + 1e-9


def demand_of(rows: Sequence[FakeRow]) -> Demand:
    (demand,) = demands_of(rows).values()
    return demand


def spare_seconds(world: World, slot: int, num_rows: int) -> float:
    queues = world.policy.queues
    if BASE_SLOT not in queues:
        return 0.0
    queue = queues[BASE_SLOT]
    is_crowded = queues.depth(slot) + num_rows > queue.fair_rows(slot, SETTINGS.max_batch_rows)
    return 2 * queue.full_batch_seconds(SETTINGS.batch_limits, world.costs) if is_crowded else 0.0


@dataclass
class Flood:
    """Calls of one row at a multiple of what the engine can compute, each with a deadline a second off."""

    load: float = 3.0
    num_slots: int = 1
    seconds: float = 6.0
    forced: int | None = None
    """A call that is let in whatever the estimate says."""
    world: World = field(default_factory=lambda: World(SETTINGS, bank=range(1, 17)))
    refused: list[int] = field(default_factory=list)
    rows: list[FakeRow] = field(default_factory=list)

    def run(self) -> "Flood":
        admission, dice = admission_of(self.world), random.Random(7)
        rate = self.load * SETTINGS.max_batch_rows / FULL_BATCH_SECONDS
        arrivals = [number / rate for number in range(int(rate * self.seconds))]
        self.rows = [FakeRow(dice.randint(1, self.num_slots), deadline=Deadline(at + 1.0)) for at in arrivals]
        for number, (row, at) in enumerate(zip(self.rows, arrivals, strict=True)):
            while self.world.now <= at and self.world.policy.queues.num_rows:
                self.world.step()
            if not self.world.policy.queues.num_rows:
                self.world.now = max(self.world.now, at)
            try:
                admission.check(demands_of([row]), row.deadline, {}, at)
            except DeadlineExceededError:
                self.refused.append(number)
                if number != self.forced:
                    continue
            self.world.arrive(row)
        self.world.run()
        return self


@pytest.mark.parametrize(("num_slots", "share_in_vain"), [(1, 0.001), (4, 0.02), (16, 0.04)])
def test_overload_costs_no_throughput(num_slots: int, share_in_vain: float) -> None:
    """At three times what can be computed batches stay full, and hardly any row waits in vain."""
    flood = Flood(num_slots=num_slots).run()

    capacity = SETTINGS.max_batch_rows / FULL_BATCH_SECONDS
    in_steady_state = [row for row in flood.world.served if 2.0 < row.deadline.at <= flood.seconds + 1.0]
    assert len(in_steady_state) > 0.95 * capacity * (flood.seconds - 1.0)
    assert len(flood.world.expired) <= share_in_vain * len(flood.refused)


@pytest.mark.parametrize(("num_slots", "share"), [(1, 1.0), (4, 0.9), (16, 0.6)])
def test_refused_rows_would_have_been_late(num_slots: int, share: float) -> None:
    """Most, let in all the same, expire or are in time by less than three batches; others gain by rows that expire."""
    refused = Flood(num_slots=num_slots, seconds=2.0).run().refused
    sample = random.Random(1).sample(refused, 15)

    verdicts = [is_late_if_let_in(number, num_slots) for number in sample]

    assert sum(verdicts) >= share * len(sample)


def is_late_if_let_in(number: int, num_slots: int) -> bool:
    flood = Flood(num_slots=num_slots, seconds=2.0, forced=number).run()
    row = flood.rows[number]
    ends = [batch.begins_at + batch.seconds for batch in flood.world.batches if row in batch.rows]
    return not ends or ends[0] > row.deadline.at - 3 * FULL_BATCH_SECONDS


def test_below_capacity_nobody_is_refused() -> None:
    """At nine tenths of it."""
    flood = Flood(load=0.9, num_slots=4).run()

    assert [] == flood.refused
    assert [] == flood.world.expired


def test_a_flood_refuses_its_own_rows_and_nobody_elses() -> None:
    """Within the lane, the fair order decides what has to be waited for."""
    world = World(SETTINGS, bank=(1, 2))
    admission = admission_of(world)
    world.arrive(*(FakeRow(1) for _ in range(4000)))
    deadline = Deadline(0.5)

    admission.check({2: Demand(1, 10, 10)}, deadline, {}, now=0.0)
    with pytest.raises(DeadlineExceededError):
        admission.check({1: Demand(1, 10, 10)}, deadline, {}, now=0.0)


def test_many_quiet_slots_are_waited_for() -> None:
    """None has a backlog, and yet there is one: a row of each is before a new one."""
    world = World(SETTINGS, bank=range(1, 500))
    admission = admission_of(world)
    world.arrive(*(FakeRow(slot) for slot in range(1, 499)))

    seconds = admission.ends_at(499, Demand(1, 10, 10), now=0.0)

    assert seconds > 499 * 10 * costs().token_seconds


def test_unknown_costs_refuse_nobody() -> None:
    """A guess that is far too high must not keep the first ones out."""
    model = CostModel(1.0, 1.0, 1.0)
    policy: Policy[FakeRow] = Policy(SETTINGS, model)
    admission = Admission(SETTINGS, model, policy)
    for _ in range(100):
        policy.queues.append(FakeRow(1), 0.0)

    admission.check({1: Demand(1, 10, 10)}, Deadline(1.0), {}, now=0.0)


def test_poisoned_costs_recover_under_load() -> None:
    """Thought a hundred times too high, they are learnt anew from the batches that are still let in."""
    world = World(SETTINGS, bank=(1,))
    admission, truth = admission_of(world), costs()
    world.costs = world.policy._costs
    world.costs.batch_seconds, world.costs.token_seconds = 0.5, 0.01
    num_refused = []

    for _ in range(60):
        num_refused.append(0)
        for _ in range(2 * SETTINGS.max_batch_rows):
            row = FakeRow(1, deadline=Deadline(world.now + 1.0))
            try:
                admission.check(demands_of([row]), row.deadline, {}, world.now)
                world.arrive(row)
            except DeadlineExceededError:
                num_refused[-1] += 1
        while decision := world.policy.next_batch(world.now):
            if not decision.rows:
                break
            num_tokens = sum(row.num_tokens for row in decision.rows)
            world.now += truth.batch(num_tokens)
            world.costs.learn_batch(num_tokens, truth.batch(num_tokens))
            world.policy.batch_done(decision.lane, truth.batch(num_tokens), frozenset({BASE_SLOT}))

    assert num_refused[0] > 0
    assert sum(num_refused[-20:]) == 0


def test_poisoned_costs_recover_from_large_calls_alone() -> None:
    """Each is refused though nothing waits, so that no batch would ever correct the estimate: until it is doubted."""
    world = World(SETTINGS, bank=(1,))
    admission = admission_of(world)
    world.costs.batch_seconds, world.costs.token_seconds = 0.5, 0.01
    demand: dict[int | None, Demand] = {1: Demand(20, 200, 10)}
    outcomes = []

    for _ in range(300):
        try:
            admission.check(demand, Deadline(world.now + 1.0), {}, world.now)
            outcomes.append(True)
        except DeadlineExceededError:
            outcomes.append(False)

    assert not outcomes[0]
    assert outcomes[-1]


def test_rows_dropped_under_overload_cast_no_doubt_on_costs() -> None:
    """That they were late was their backlog's fault, and the batches that are computed tell what they cost."""
    world = World(SETTINGS, bank=(1,))
    world.arrive(*(FakeRow(1, deadline=Deadline(FULL_BATCH_SECONDS / 2 + 0.002)) for _ in range(20)))

    batch = world.step()

    assert batch is not None
    assert world.expired
    assert costs().estimates() == world.costs.estimates()


def test_the_pace_corrects_the_estimate() -> None:
    """Batches that take twice what their tokens do let the wait look twice as long."""
    world = World(SETTINGS, bank=(1,))
    admission = admission_of(world)
    world.arrive(*(FakeRow(1) for _ in range(80)))
    before = admission.ends_at(1, Demand(1, 10, 10), now=0.0)

    for _ in range(200):
        world.costs.learn_pace(0.01, 0.02)

    assert 2 * before == pytest.approx(admission.ends_at(1, Demand(1, 10, 10), now=0.0), rel=0.01)


def test_the_pace_is_learnt_from_whole_batches() -> None:
    """From one decision to the next; a batch whose rows were all cancelled tells nothing."""
    world = World(SETTINGS, bank=(1,))
    world.arrive(*(FakeRow(1) for _ in range(24)))
    world.policy.next_batch(0.0)
    world.policy.next_batch(0.0)
    assert world.costs.pace == 1.0

    world.policy.batch_done(BASE_SLOT, FULL_BATCH_SECONDS, frozenset({BASE_SLOT}))
    world.policy.next_batch(1.5 * FULL_BATCH_SECONDS)

    assert pytest.approx(1.05) == world.costs.pace


def test_what_fits_the_next_batch_is_let_in_whatever_it_is_thought_to_take() -> None:
    """So there are always batches to learn from."""
    world = World(SETTINGS, bank=(1,))
    admission = admission_of(world)
    world.costs.batch_seconds = 100.0
    world.arrive(*(FakeRow(1) for _ in range(7)))

    admission.check({1: Demand(1, 10, 10)}, Deadline(1.0), {}, now=0.0)
    with pytest.raises(DeadlineExceededError):
        admission.check({1: Demand(2, 20, 10)}, Deadline(1.0), {}, now=0.0)


def test_a_traversal_thought_too_dear_is_doubted_while_others_are_served() -> None:
    """Else no row with a deadline would ever be traversed for, and its cost never measured."""
    world = World(SETTINGS, bank=(1,))
    world.costs.traversal_seconds = 10.0
    world.arrive(FakeRow(1), FakeRow(2, deadline=Deadline(5.0)))

    batch = world.step()

    assert batch is not None
    assert BASE_SLOT == batch.lane
    assert world.costs.traversal_seconds < 10.0
    assert costs().batch_seconds == world.costs.batch_seconds
