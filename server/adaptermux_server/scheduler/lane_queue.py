"""The rows that may share a batch, in fair order between the slots that they are for.

The order is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), with the slots as its flows and tokens as
the service. In the virtual time of a lane, a row of n tokens for a slot of weight w takes n / w. It starts when the row
before it in its slot finishes or, where none waits before it, no earlier than the row started that was taken last. Rows
are taken in the order of their starts, and of their arrival where these are equal. What follows from that:

- While two slots f and g have rows waiting, tokens taken of each and divided by its weight, over any stretch of time,
  differ by at most  n_f / w_f + n_g / w_g,  where n is the slot's longest row (their theorem 1).
- Between the arrival of a row of f and its turn, at most  T w_g / w_f + n_g  tokens of any other slot g are taken. T
  are the tokens ahead of it in f itself: of the rows that wait, and of the one that was taken last as far as the
  virtual time hasn't reached its finish. With none ahead (T = 0) that is one row of g, however many wait there.
- With rows of one slot alone, this is first in, first out.

Tokens alone count, for they are what a row adds to a forward; the fixed part of a forward is shared by all rows in it,
whoever sent them. Cancelled and expired rows cost their slot nothing. A lane that runs empty forgets what was served.
"""

from collections.abc import Collection, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import Generic

from adaptermux_server.scheduler.packing import BatchCosts, BatchLimits
from adaptermux_server.scheduler.shares import Shares
from adaptermux_server.scheduler.slot_queue import Item, SlotQueue


class LaneQueue(Generic[Item]):
    """The queues of a lane's slots that have rows waiting."""

    def __init__(self, shares: Shares) -> None:
        self.num_rows = 0
        self.num_tokens = 0
        self._shares = shares
        self._slots: dict[int, SlotQueue[Item]] = {}
        self._starts: dict[int, float] = {}
        """When the next row of each slot starts; also of slots without rows that are ahead of the virtual time."""
        self._virtual_time = 0.0
        """The start of the row that was taken last."""

    def __iter__(self) -> Iterator[Item]:
        """All rows in the order in which they would be taken if none came any more; the queue must not change."""
        return (row for _, row in self._in_fair_order())

    @property
    def slots(self) -> Mapping[int, SlotQueue[Item]]:
        """The queues that aren't empty, by slot."""
        return self._slots

    @property
    def weight(self) -> float:
        """Of all slots that have rows waiting, together."""
        return sum(self._shares[slot].weight for slot in self._slots)

    @property
    def oldest_arrival(self) -> float:
        """When the row that has waited longest came; the queue must not be empty."""
        return min(queue.head.enqueued_at for queue in self._slots.values())

    def append(self, item: Item, place: int) -> None:
        """Put a row at the end of its slot; `place` is above all that were given before."""
        if item.slot not in self._slots:
            self._starts[item.slot] = self._next_start(item.slot)
            self._slots[item.slot] = SlotQueue()
        self._slots[item.slot].append(item, place)
        self.num_rows += 1
        self.num_tokens += item.num_tokens

    def discard(self, item: Item) -> bool:
        """Take a row out, wherever it stands; False if it isn't here. O(1), amortised."""
        queue = self._slots.get(item.slot)
        if queue is None or not queue.discard(item):
            return False
        self._left(item.slot, (item,))
        return True

    def take(self, num_rows: int) -> tuple[Item, ...]:
        """Take out the first rows in fair order, and count them as served."""
        taken = tuple(islice(self._in_fair_order(), num_rows))
        for start, row in taken:
            self._virtual_time = start
            self._starts[row.slot] = start + self._virtual_seconds(row)
            self.discard(row)
        self._starts = {slot: start for slot, start in self._starts.items() if self._still_matters(slot, start)}
        return tuple(row for _, row in taken)

    def tokens_before(self, slot: int, num_tokens: int) -> float:
        """Tokens that are taken before a row that comes after `num_tokens` more of a slot, at the least. O(slots).

        Rows that come later may add to it; cancelled and expired ones take from it.
        """
        queue = self._slots.get(slot)
        own = num_tokens + (queue.num_tokens if queue else 0)
        start = self._next_start(slot) + own / self._shares[slot].weight
        return own + sum(self._started_by(start, other) for other in self._slots if other != slot)

    def fair_rows(self, slot: int, max_rows: int) -> float:
        """A slot's share of a batch of so many rows beside all others that wait, by weight. O(slots)."""
        own = self._shares[slot].weight
        return max_rows * own / (self.weight + (0.0 if slot in self._slots else own))

    def full_batch_seconds(self, limits: BatchLimits, costs: BatchCosts) -> float:
        """What a batch of as many rows as limits and queue allow takes; a row must wait."""
        num_tokens = min(limits.max_tokens, self.num_tokens * min(1.0, limits.max_rows / self.num_rows))
        return costs.pace * costs.batch(num_tokens)

    def pop_late(self, start: float, costs: BatchCosts, limits: BatchLimits) -> list[Item]:
        """Take out rows that a batch which begins at `start` can't answer in time; they don't count as served.

        That is all for which an empty batch would end too late, and the first of a slot for which their own would. Of a
        slot with more rows than its share of a batch, it is also those for which a full batch would, down to the share:
        a batch that is kept small for one of them makes the others late, and under overload all batches would be small.
        """
        late: list[Item] = []
        full_batch_ends_at = start + self.full_batch_seconds(limits, costs)
        rows_by_weight = limits.max_rows / self.weight
        for slot, queue in tuple(self._slots.items()):
            popped = queue.pop_late(start, costs)
            popped += queue.pop_before(full_batch_ends_at, rows_by_weight * self._shares[slot].weight)
            self._left(slot, popped)
            late += popped
        return late

    def _started_by(self, start: float, slot: int) -> float:
        """Tokens of a slot's rows that start no later than `start`, at the least."""
        ahead, queue = start - self._starts[slot], self._slots[slot]
        return min(queue.num_tokens, max(queue.head.num_tokens, ahead * self._shares[slot].weight)) if ahead >= 0 else 0

    def _next_start(self, slot: int) -> float:
        """When the next row of a slot starts, the first of those that wait or else one that would come now."""
        if slot in self._slots:
            return self._starts[slot]
        return max(self._starts.get(slot, 0.0), self._virtual_time)

    def _left(self, slot: int, items: Collection[Item]) -> None:
        """Note that rows of a slot are out of its queue."""
        self.num_rows -= len(items)
        self.num_tokens -= sum(item.num_tokens for item in items)
        if not self._slots[slot]:
            del self._slots[slot]

    def _in_fair_order(self) -> Iterator[tuple[float, Item]]:
        """Rows with their starts; the first takes O(slots), each further one O(log slots)."""
        waiting = []
        for slot, queue in self._slots.items():
            rows = queue.placed()
            waiting.append((self._starts[slot], *next(rows), rows))
        heapify(waiting)
        while waiting:
            start, _, row, rows = waiting[0]
            yield start, row
            following = next(rows, None)
            if following is None:
                heappop(waiting)
            else:
                heapreplace(waiting, (start + self._virtual_seconds(row), *following, rows))

    def _virtual_seconds(self, row: Item) -> float:
        return row.num_tokens / self._shares[row.slot].weight

    def _still_matters(self, slot: int, start: float) -> bool:
        return slot in self._slots or start > self._virtual_time
