"""The order within a lane, against a slow reference and against each promise of its docstring."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.lane_queue import LaneQueue
from adaptermux_server.scheduler.packing import BatchLimits
from adaptermux_server.scheduler.shares import Shares
from adaptermux_server.types import Deadline, ExecutorKind
from tests.scheduler.rows import FakeRow, costs

WEIGHTS = {0: 1.0, 1: 1.0, 2: 2.0, 3: 0.5, 4: 8.0}
LONGEST = 64
LIMITS = BatchLimits(max_rows=32, max_tokens=4096)
ROWS = st.builds(FakeRow, slot=st.sampled_from(sorted(WEIGHTS)), num_tokens=st.integers(1, LONGEST))
STEPS = st.lists(ROWS | st.integers(1, 6), max_size=150)
"""Rows that arrive, and batches of so many rows that are taken."""


class Lane:
    """A lane queue that hands out places."""

    def __init__(self, weights: Mapping[int, float] = WEIGHTS) -> None:
        self.shares = Shares(max_wait_seconds=1.0)
        for slot, weight in weights.items():
            self.shares.configure(slot, weight, None, ExecutorKind.BANK)
        self.queue: LaneQueue[FakeRow] = LaneQueue(self.shares)
        self._num_arrived = 0

    def arrive(self, *rows: FakeRow) -> None:
        for row in rows:
            self.queue.append(row, self._num_arrived)
            self._num_arrived += 1


@dataclass
class Reference:
    """Start-time fair queueing as the paper states it: each row gets its tags when it arrives, kept in one list."""

    waiting: list[tuple[float, int, FakeRow]] = field(default_factory=list)
    finishes: dict[int, float] = field(default_factory=dict)
    virtual_time: float = 0.0
    num_arrived: int = 0

    def arrive(self, row: FakeRow) -> None:
        if not self.waiting:
            # The end of a busy period: the greatest finish of all that was served.
            self.virtual_time = max(self.finishes.values(), default=0.0)
        start = max(self.finishes.get(row.slot, 0.0), self.virtual_time)
        self.finishes[row.slot] = start + row.num_tokens / WEIGHTS[row.slot]
        self.waiting.append((start, self.num_arrived, row))
        self.num_arrived += 1

    def take(self) -> FakeRow:
        first = min(self.waiting, key=lambda tagged: tagged[:2])
        self.waiting.remove(first)
        self.virtual_time = first[0]
        return first[2]


@given(STEPS)
def test_the_order_is_that_of_the_paper(steps: Sequence[FakeRow | int]) -> None:
    """Arrivals between batches included. Weights are powers of two, so that both reckon exactly."""
    lane, reference = Lane(), Reference()
    for step in steps:
        if isinstance(step, FakeRow):
            lane.arrive(step)
            reference.arrive(step)
            continue
        expected = tuple(reference.take() for _ in range(min(step, len(reference.waiting))))

        assert expected == lane.queue.take(step)
        if not lane.queue.slots:
            # As `Queues` does.
            lane = Lane()


@given(st.lists(ROWS, max_size=60), st.integers(0, 60))
def test_looking_at_the_order_takes_nothing_and_foretells_what_is_taken(rows: list[FakeRow], num_rows: int) -> None:
    """As long as no row comes or goes."""
    lane = Lane()
    lane.arrive(*rows)
    foretold = tuple(lane.queue)

    taken = lane.queue.take(num_rows) + lane.queue.take(len(rows))

    assert foretold == taken
    assert len(rows) == len(taken)


@given(st.lists(st.integers(1, LONGEST), max_size=30))
def test_rows_of_one_slot_are_first_in_first_out(lengths: list[int]) -> None:
    """Whatever their lengths."""
    lane = Lane()
    rows = [FakeRow(1, length) for length in lengths]
    lane.arrive(*rows)

    assert tuple(rows) == lane.queue.take(len(rows))


@given(STEPS)
def test_shares_of_slots_that_wait_differ_by_a_row_of_each(steps: Sequence[FakeRow | int]) -> None:
    """The bound of the paper's theorem 1, over any stretch in which two slots have rows waiting all the time."""
    lane = Lane()
    served = dict.fromkeys(WEIGHTS, 0.0)
    leads: dict[tuple[int, int], list[float]] = defaultdict(list)
    for step in steps:
        if isinstance(step, FakeRow):
            lane.arrive(step)
        for row in lane.queue.take(1) if isinstance(step, int) else ():
            served[row.slot] += row.num_tokens / WEIGHTS[row.slot]
        for f, g in [(f, g) for f in WEIGHTS for g in WEIGHTS if f < g]:
            if not {f, g} <= lane.queue.slots.keys():
                leads.pop((f, g), None)
                continue
            leads[f, g].append(served[f] - served[g])

            assert max(leads[f, g]) - min(leads[f, g]) <= LONGEST / WEIGHTS[f] + LONGEST / WEIGHTS[g]


@given(STEPS, st.integers(1, LONGEST))
def test_a_row_with_none_ahead_of_it_waits_for_one_row_of_each_other_slot(
    steps: Sequence[FakeRow | int], num_tokens: int
) -> None:
    """However many of them wait, whatever was served before, and whatever the weights."""
    lane = Lane()
    for step in steps:
        if isinstance(step, FakeRow):
            lane.arrive(step)
        else:
            lane.queue.take(step)
    quiet = FakeRow(9, num_tokens)
    lane.arrive(quiet, *(FakeRow(slot) for slot in WEIGHTS for _ in range(5)))

    before = list(lane.queue)
    before = before[: before.index(quiet)]

    assert len({row.slot for row in before}) == len(before)


@given(STEPS, st.lists(st.integers(1, LONGEST), min_size=2, max_size=8))
def test_rows_ahead_in_its_own_slot_count_in_proportion(steps: Sequence[FakeRow | int], lengths: Sequence[int]) -> None:
    """Before a row behind T tokens of its own: T times the ratio of weights of any other slot, and one row more."""
    lane = Lane()
    for step in steps:
        if isinstance(step, FakeRow):
            lane.arrive(step)
        else:
            lane.queue.take(step)
    own = [FakeRow(9, length) for length in lengths]
    lane.arrive(*own, *(FakeRow(slot, LONGEST) for slot in WEIGHTS for _ in range(20)))

    order = list(lane.queue)
    before = order[: order.index(own[-1])]

    for slot, weight in WEIGHTS.items():
        tokens = sum(row.num_tokens for row in before if row.slot == slot)
        assert tokens <= sum(lengths[:-1]) * weight + LONGEST


@pytest.mark.parametrize("weights", [{1: 1.0, 2: 1.0}, {1: 1.0, 2: 3.0, 3: 10.0}, {1: 0.01, 2: 0.02}])
def test_slots_that_always_have_rows_get_tokens_by_weight(weights: dict[int, float]) -> None:
    """Whatever the lengths of their rows: those of one slot are ten times as long here."""
    lane = Lane(weights)
    tokens = dict.fromkeys(weights, 0)
    for slot in weights:
        lane.arrive(*(FakeRow(slot, 50 if slot == 1 else 5) for _ in range(40)))

    for _ in range(2000):
        for row in lane.queue.take(8):
            tokens[row.slot] += row.num_tokens
            lane.arrive(FakeRow(row.slot, row.num_tokens))

    shares = [count / sum(tokens.values()) for count in tokens.values()]
    assert pytest.approx([weight / sum(weights.values()) for weight in weights.values()], rel=0.02) == shares


def test_who_comes_back_has_earned_nothing() -> None:
    """A slot that stayed away gets its share from then on, not what it left to others."""
    lane = Lane()
    lane.arrive(*(FakeRow(1) for _ in range(100)))
    lane.queue.take(90)

    lane.arrive(*(FakeRow(0) for _ in range(10)))

    assert 5 == sum(row.slot == 0 for row in lane.queue.take(10))


def test_who_sends_one_row_at_a_time_pays_for_the_last_one() -> None:
    """Long rows that come one after the other don't get more than the share of their slot."""
    lane = Lane()
    lane.arrive(*(FakeRow(1, 10) for _ in range(200)))
    tokens = {0: 0, 1: 0}
    for _ in range(100):
        if 0 not in lane.queue.slots:
            lane.arrive(FakeRow(0, LONGEST))
        (row,) = lane.queue.take(1)
        tokens[row.slot] += row.num_tokens

    assert abs(tokens[0] - tokens[1]) <= 10 + LONGEST


def test_cancelled_and_late_rows_cost_their_slot_nothing() -> None:
    """Nor do they hold up others."""
    lane = Lane()
    cancelled, late, kept = FakeRow(0, 64), FakeRow(0, 64, Deadline(1.0)), FakeRow(0)
    others = [FakeRow(1) for _ in range(3)]
    lane.arrive(cancelled, late, *others, kept)

    assert lane.queue.discard(cancelled)
    assert not lane.queue.discard(cancelled)
    assert [late] == lane.queue.pop_late(2.0, costs(), LIMITS)
    assert (others[0], kept, *others[1:]) == tuple(lane.queue)


def test_what_slots_without_rows_used_is_forgotten_once_it_makes_no_difference() -> None:
    """However many slots come and go while the lane is never empty."""
    lane = Lane()
    for slot in range(10, 1000):
        lane.arrive(FakeRow(slot), FakeRow(1), FakeRow(1))
        lane.queue.take(2)

    assert len(lane.queue._starts) < 20
