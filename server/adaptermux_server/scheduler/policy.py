"""Which rows go to the engine next; pure: the time is an argument, and nothing here knows torch or asyncio.

Slots take turns. While nobody is overdue, the engine stays with the slots that need no traversal and then goes where
most work waits, so that a closed backlog costs one traversal for each adapter. What holds beyond that:

Wait bound. A slot's *due time* is when its head has waited for `max_wait`, or, if that is earlier, the last time at
which another slot's batch may begin if the nearest deadline in its own queue is to be met after it (but no earlier than
the head's arrival). An overdue slot is served
before any that isn't overdue, overdue slots in the order of their due times. Only the turn in progress may come before:
it lasts until its slot has no rows left or has used it up.

Fairness. A turn is `max_turn_seconds` of compute for the waiting slot of the greatest weight, and in proportion for the
others; compute counts only while another slot waits, and what a batch used beyond its turn is owed at the next turns.
A slot that has used up its turn with rows left loses its place: its due time counts from then on, not from its head's
arrival, and it gets another turn only when all slots that lost their places have used up theirs. So a flood goes to
the end of the line after each turn, the wait of others is bounded by a turn of each slot before them, and slots that
always have rows share compute by weight. Who has no rows left neither owes nor has earned anything.

This is deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) with turns long enough to pay for their traversals,
rather than a virtual time per token as in VTC (arXiv 2401.00588): where a change of the slot costs as much as several
rows, strict virtual time leaves a busy slot for every single row of a quiet one, and loses more to traversals than it
gives to anybody.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.packing import pack
from adaptermux_server.scheduler.queue import Item, Queues
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT

_TRAVERSALS_PER_TURN = 8
"""A turn of the greatest weight lasts at least so many traversals: walking then takes at most a ninth of the time."""

_MOST_TURNS_OWED = 2.0
"""A slot that was alone with slots not yet overdue may go far beyond its turn; more than so much is forgiven."""


@dataclass(slots=True)
class Share:
    """What a slot is entitled to, and how it stands."""

    max_wait_seconds: float
    weight: float = 1.0
    credit_seconds: float = math.inf
    """Compute left in its turn; negative: owed; infinite: a whole turn, whatever that is when it begins."""
    lost_place_at: float = -math.inf
    """When it last used up its turn with rows left."""


@dataclass(frozen=True, slots=True)
class Decision(Generic[Item]):
    """What to do now."""

    slot: int
    rows: tuple[Item, ...]
    """To compute in one batch; empty where nothing waits."""
    expired: tuple[Item, ...]
    """To answer without a forward: their deadline has passed or can't be met."""


class Policy(Generic[Item]):
    """Owns the queues and decides which batch is next."""

    def __init__(self, settings: SchedulerSettings, costs: CostModel) -> None:
        self.queues: Queues[Item] = Queues()
        self.resident_slots = frozenset({BASE_SLOT})
        """Slots that need no traversal, as the engine last said."""
        self._settings = settings
        self._costs = costs
        self._shares: dict[int, Share] = {}
        self._served_slot: int | None = None
        """Whose turn it is."""

    def configure_slot(self, slot: int, weight: float, max_wait_seconds: float | None) -> None:
        """Set a slot's weight and bound; its queue and its debts stay. None: the settings' bound."""
        share = self._share(slot)
        share.weight = weight
        share.max_wait_seconds = self._settings.max_wait_seconds if max_wait_seconds is None else max_wait_seconds

    def forget_slot(self, slot: int) -> None:
        """Drop what is known of a slot that serves nobody any more."""
        self._shares.pop(slot, None)
        self.resident_slots -= {slot}

    def next_batch(self, now: float) -> Decision[Item]:
        """Take the next batch out of the queues, and the rows that came too late for any."""
        expired = self._take_expired(now)
        slot, rows = BASE_SLOT, tuple[Item, ...]()
        while self.queues and not rows:
            slot = self._choose(now)
            start = now + self._traversal_seconds(slot)
            num_rows = pack(self.queues[slot], self._settings.batch_limits, self._costs, start)
            rows = self.queues.take(slot, num_rows)
            if not num_rows:
                expired += self.queues.take(slot, 1)
        if any(row.deadline.at > now for row in expired):
            self._costs.doubt()
        return Decision(slot, rows, tuple(expired))

    def batch_done(self, slot: int, compute_seconds: float, resident_slots: frozenset[int]) -> None:
        """Charge a batch to its slot, and learn which slots need no traversal now.

        Nothing is charged while no other slot waits: what nobody else wanted is free.
        """
        self.resident_slots = resident_slots
        share = self._share(slot)
        if slot not in self.queues:
            share.credit_seconds, self._served_slot = math.inf, None
        elif len(self.queues) > 1:
            debt_limit = -_MOST_TURNS_OWED * self._longest_turn_seconds
            share.credit_seconds = max(share.credit_seconds - compute_seconds, debt_limit)

    def _take_expired(self, now: float) -> list[Item]:
        """Take out the rows that are too late even for a batch that would begin now."""
        expired: list[Item] = []
        for slot in tuple(self.queues):
            expired += self.queues.pop_expired(slot, now + self._traversal_seconds(slot) + self._costs.batch(0))
        return expired

    def _choose(self, now: float) -> int:
        """The slot of the next batch; some slot must have rows waiting."""
        served = self._served_slot
        if served is not None and served in self.queues:
            share = self._share(served)
            if share.credit_seconds > 0:
                return served
            share.lost_place_at = now
        another = self._costs.traversal_seconds + max(map(self._batch_seconds, self.queues))
        due = {slot: self._due(slot, another) for slot in self.queues}
        slot = min(self._candidates(due, now), key=due.__getitem__)
        self._served_slot = slot
        share = self._share(slot)
        share.credit_seconds = min(share.credit_seconds, self._turn_seconds(slot, self.queues))
        return slot

    def _due(self, slot: int, another_seconds: float) -> float:
        """When a slot becomes overdue; `another_seconds`: what a batch of another slot may take before its own."""
        share, queue = self._share(slot), self.queues[slot]
        arrival = queue.head.enqueued_at
        if share.lost_place_at > arrival:
            return share.lost_place_at + share.max_wait_seconds
        own_seconds = self._traversal_seconds(slot) + self._batch_seconds(slot)
        latest_start = queue.earliest_deadline - own_seconds - another_seconds
        return max(arrival, min(arrival + share.max_wait_seconds, latest_start))

    def _batch_seconds(self, slot: int) -> float:
        """What the slot's next batch is expected to take."""
        return self._costs.batch(min(self.queues[slot].num_tokens, self._settings.max_batch_tokens))

    def _candidates(self, due: Mapping[int, float], now: float) -> Collection[int]:
        """The slots of which the one that is due first comes next."""
        overdue = {slot for slot in due if due[slot] <= now}
        if not overdue:
            # Most work for one traversal: small backlogs grow until they are worth one, or overdue.
            return self.resident_slots & due.keys() or {max(due, key=lambda slot: self.queues[slot].num_tokens)}
        self._begin_round()
        entitled = {slot for slot in due if self._share(slot).credit_seconds > 0}
        return entitled & overdue or entitled & self.resident_slots or entitled

    def _begin_round(self) -> None:
        """Once no slot that lost its place has anything left of its turn: give each of them another."""
        behind = [slot for slot in self.queues if self._is_behind(slot)]
        while behind and all(self._share(slot).credit_seconds <= 0 for slot in behind):
            for slot in behind:
                self._share(slot).credit_seconds += self._turn_seconds(slot, behind)

    def _is_behind(self, slot: int) -> bool:
        share = self._share(slot)
        return share.credit_seconds <= 0 or share.lost_place_at > self.queues[slot].head.enqueued_at

    def _turn_seconds(self, slot: int, others: Iterable[int]) -> float:
        """A slot's turn among others, itself included."""
        greatest = max(self._share(other).weight for other in others)
        return self._longest_turn_seconds * self._share(slot).weight / greatest

    @property
    def _longest_turn_seconds(self) -> float:
        return max(self._settings.max_turn_seconds, _TRAVERSALS_PER_TURN * self._costs.traversal_seconds)

    def _traversal_seconds(self, slot: int) -> float:
        return 0.0 if slot in self.resident_slots else self._costs.traversal_seconds

    def _share(self, slot: int) -> Share:
        return self._shares.setdefault(slot, Share(self._settings.max_wait_seconds))
