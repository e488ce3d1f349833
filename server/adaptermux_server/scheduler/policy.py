"""Which rows go to the engine next; pure: the time is an argument, and nothing here knows torch or asyncio.

Rows that may share a batch form a *lane*: those of all slots in the bank and of the base are in one, those of any other
slot in one of its own. A batch is made of rows of one lane. Two rules decide: which lane is next, and in which order
rows of a lane are taken. Whenever anything waits, there is a batch.

Within a lane rows are taken in fair order between its slots, up to the limits of a batch; `lane_queue` states what that
promises, and for one slot alone it is first in, first out. Nothing is deferred there: while only one lane has rows, the
next batch is what comes first in that order, at once, and neither `max_wait` nor turns have a say. So a flood by one
tenant of the bank delays a row of another that has none ahead of its own by the batch under way and one row of each
other slot, and by no more.

Between lanes there are traversals to save, so lanes take turns. While nobody is overdue, the engine stays with the
lanes that need no traversal (the bank's never does) and then goes where most work waits, so that a closed backlog costs
one traversal for each adapter outside of the bank. What holds beyond that:

Wait bound. A slot's *due time* is when its head has waited for `max_wait`, or, if that is earlier, the last time at
which a batch of another lane may begin if the nearest deadline in its own queue is to be met after it (but no earlier
than the head's arrival). A lane is due when the first of its slots is. An overdue lane is served before any that isn't
overdue, overdue lanes in the order of their due times. Only the turn in progress may come before: it lasts until its
lane has no rows left or has used it up.

Fairness. A lane weighs as much as its slots that have rows waiting do together. A turn is `max_turn_seconds` of compute
for the waiting lane of the greatest weight, and in proportion for the others; compute counts only while another lane
waits, and what a batch used beyond its turn is owed at the next turns. A lane that has used up its turn with rows left
loses its place: the due times of its slots count from then on, not from the arrival of heads that were there already,
and it gets another turn only when all lanes that lost their places have used up theirs. So a flood goes to the end of
the line after each turn, the wait of other lanes is bounded by a turn of each lane before them, and slots that always
have rows share compute by weight, whichever their lanes. A lane that has no rows left neither owes nor has earned
anything.

The rule between lanes is deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) with turns long enough to pay for
their traversals, rather than a virtual time per token as within a lane or as in VTC (arXiv 2401.00588): where a change
of the lane costs as much as several rows, strict virtual time leaves a busy lane for every single row of a quiet one,
and loses more to traversals than it gives to anybody.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.packing import is_late_alone, pack
from adaptermux_server.scheduler.queue import Queues
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.scheduler.shares import Shares
from adaptermux_server.scheduler.slot_queue import Item
from adaptermux_server.types import BASE_SLOT, ExecutorKind

_TRAVERSALS_PER_TURN = 8
"""A turn of the greatest weight lasts at least so many traversals: walking then takes at most a ninth of the time."""

_MOST_TURNS_OWED = 2.0
"""A lane that was alone with lanes not yet overdue may go far beyond its turn; more than so much is forgiven."""


@dataclass(slots=True)
class Turn:
    """How a lane stands."""

    credit_seconds: float = math.inf
    """Compute left in its turn; negative: owed; infinite: a whole turn, whatever that is when it begins."""
    lost_place_at: float = -math.inf
    """When it last used up its turn with rows left."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[Item]):
    """What to do now."""

    lane: int
    rows: tuple[Item, ...]
    """To compute in one batch, all of the lane; empty where nothing waits."""
    expired: tuple[Item, ...]
    """To answer without a forward: their deadline has passed or can't be met (see `LaneQueue.pop_late`)."""


class Policy(Generic[Item]):
    """Owns the queues and decides which batch is next."""

    def __init__(self, settings: SchedulerSettings, costs: CostModel) -> None:
        self.resident_slots = frozenset({BASE_SLOT})
        """Lanes that need no traversal, as the engine last said: slots outside of the bank, and the bank."""
        self._settings = settings
        self._costs = costs
        self._shares = Shares(settings.max_wait_seconds)
        self.queues: Queues[Item] = Queues(self._shares)
        self.busy_until = -math.inf
        """When the batch that was taken last is expected to end; it may have ended."""
        self._under_way: tuple[float, float] | None = None
        """When the last batch began, and what it was expected to take, pace aside; None: it is known what it took."""
        self._was_computed = False
        self._turns: dict[int, Turn] = {}
        self._served_lane: int | None = None
        """Whose turn it is."""

    def configure_slot(self, slot: int, weight: float, max_wait_seconds: float | None, executor: ExecutorKind) -> None:
        """Set a slot's weight, bound and lane; its queue and its debts stay. None: the settings' bound.

        A slot that has rows waiting goes to another lane only after these.
        """
        self._shares.configure(slot, weight, max_wait_seconds, executor)

    def forget_slot(self, slot: int) -> None:
        """Drop what is known of a slot that serves nobody any more."""
        self._shares.forget(slot)
        self._turns.pop(slot, None)
        self.resident_slots -= {slot}

    def next_batch(self, now: float) -> Decision[Item]:
        """Take the next batch out of the queues, and the rows that came too late for any."""
        self._learn_pace(now)
        expired = self._take_late(now)
        if not self.queues:
            if any(row.deadline.at > now for row in expired):
                self._costs.doubt()
            self.busy_until = now
            return Decision(BASE_SLOT, (), expired)
        lane = self._choose(now)
        start = now + self.traversal_seconds(lane)
        num_rows = pack(self.queues[lane], self._settings.batch_limits, self._costs, start)
        rows = self.queues.take(lane, num_rows)
        seconds = start - now + self._costs.batch(sum(row.num_tokens for row in rows))
        self.busy_until, self._under_way = now + self._costs.pace * seconds, (now, seconds)
        return Decision(lane, rows, expired)

    def batch_done(self, lane: int, compute_seconds: float, resident_slots: frozenset[int]) -> None:
        """Charge a batch to its lane, and learn which slots need no traversal now.

        Nothing is charged while no other lane waits: what nobody else wanted is free.
        """
        self.resident_slots, self._was_computed = resident_slots, True
        turn = self._turn(lane)
        if lane not in self.queues:
            turn.credit_seconds, self._served_lane = math.inf, None
        elif len(self.queues) > 1:
            debt_limit = -_MOST_TURNS_OWED * self._longest_turn_seconds
            turn.credit_seconds = max(turn.credit_seconds - compute_seconds, debt_limit)

    def traversal_seconds(self, lane: int) -> float:
        """What has to be spent before a batch of a lane."""
        return 0.0 if lane in self.resident_slots else self._costs.traversal_seconds

    def _learn_pace(self, now: float) -> None:
        """Take in what the last batch took as a whole, unless all its rows were cancelled before."""
        if self._under_way is not None and self._was_computed:
            began_at, expected_seconds = self._under_way
            self._costs.learn_pace(expected_seconds, now - began_at)
        self._under_way, self._was_computed = None, False

    def _take_late(self, now: float) -> tuple[Item, ...]:
        """Take out the rows that are too late even for a batch that would begin now."""
        late: list[Item] = []
        for lane in tuple(self.queues):
            start = now + self.traversal_seconds(lane)
            popped = self.queues.pop_late(lane, start, self._costs, self._settings.batch_limits)
            if start > now and any(row.deadline.at > now and is_late_alone(row, self._costs, start) for row in popped):
                self._costs.doubt_traversal()
            late += popped
        return tuple(late)

    def _choose(self, now: float) -> int:
        """The lane of the next batch; some lane must have rows waiting."""
        served = self._served_lane
        if served is not None and served in self.queues:
            turn = self._turn(served)
            if turn.credit_seconds > 0:
                return served
            turn.lost_place_at = now
        lane = self._served_lane = self._first(now)
        turn = self._turn(lane)
        turn.credit_seconds = min(turn.credit_seconds, self._turn_seconds(lane, self.queues))
        return lane

    def _first(self, now: float) -> int:
        """The lane whose turn comes now that no other's is in progress."""
        if len(self.queues) == 1:
            return next(iter(self.queues))
        another = self._costs.traversal_seconds + max(map(self._batch_seconds, self.queues))
        due = {lane: self._due(lane, another) for lane in self.queues}
        return min(self._candidates(due, now), key=due.__getitem__)

    def _due(self, lane: int, another_seconds: float) -> float:
        """When a lane becomes overdue; `another_seconds`: what a batch of another may take before its own."""
        own_seconds = self.traversal_seconds(lane) + self._batch_seconds(lane)
        slots = self.queues[lane].slots
        return min(self._slot_due(lane, slot, own_seconds + another_seconds) for slot in slots)

    def _slot_due(self, lane: int, slot: int, batches_seconds: float) -> float:
        queue, max_wait = self.queues[lane].slots[slot], self._shares[slot].max_wait_seconds
        arrival, lost_place_at = queue.head.enqueued_at, self._turn(lane).lost_place_at
        if lost_place_at > arrival:
            return lost_place_at + max_wait
        return max(arrival, min(arrival + max_wait, queue.earliest_deadline - batches_seconds))

    def _batch_seconds(self, lane: int) -> float:
        """What the lane's next batch is expected to take."""
        return self._costs.batch(min(self.queues[lane].num_tokens, self._settings.max_batch_tokens))

    def _candidates(self, due: Mapping[int, float], now: float) -> Collection[int]:
        """The lanes of which the one that is due first comes next."""
        overdue = {lane for lane in due if due[lane] <= now}
        if not overdue:
            # Most work for one traversal: small backlogs grow until they are worth one, or overdue.
            return self.resident_slots & due.keys() or {max(due, key=lambda lane: self.queues[lane].num_tokens)}
        self._begin_round()
        entitled = {lane for lane in due if self._turn(lane).credit_seconds > 0}
        return entitled & overdue or entitled & self.resident_slots or entitled

    def _begin_round(self) -> None:
        """Once no lane that lost its place has anything left of its turn: give each of them another."""
        behind = [lane for lane in self.queues if self._is_behind(lane)]
        while behind and all(self._turn(lane).credit_seconds <= 0 for lane in behind):
            for lane in behind:
                self._turn(lane).credit_seconds += self._turn_seconds(lane, behind)

    def _is_behind(self, lane: int) -> bool:
        turn = self._turn(lane)
        return turn.credit_seconds <= 0 or turn.lost_place_at > self.queues[lane].oldest_arrival

    def _turn_seconds(self, lane: int, others: Iterable[int]) -> float:
        """A lane's turn among others, itself included."""
        greatest = max(self.queues[other].weight for other in others)
        return self._longest_turn_seconds * self.queues[lane].weight / greatest

    @property
    def _longest_turn_seconds(self) -> float:
        return max(self._settings.max_turn_seconds, _TRAVERSALS_PER_TURN * self._costs.traversal_seconds)

    def _turn(self, lane: int) -> Turn:
        return self._turns.setdefault(lane, Turn())
