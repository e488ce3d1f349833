"""The rows that wait: one FIFO queue for each slot, with cancellation in O(1) and expiry by deadline."""

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from adaptermux_server.types import Deadline


class Queued(Protocol):
    """What the scheduler must know of a row; it is told apart by identity (its hash)."""

    enqueued_at: float
    """Set by the queue."""

    @property
    def slot(self) -> int:
        """The slot that computes it."""

    @property
    def num_tokens(self) -> int:
        """Its length."""

    @property
    def deadline(self) -> Deadline:
        """When its answer loses its use."""


Item = TypeVar("Item", bound=Queued)


class SlotQueue(Generic[Item]):
    """The rows of one slot in the order of their arrival; a row's place is its number among all arrivals."""

    def __init__(self) -> None:
        self.num_tokens = 0
        self._items: OrderedDict[int, Item] = OrderedDict()
        self._places: dict[Item, int] = {}
        self._deadlines: list[tuple[float, int]] = []
        """A heap of (deadline, place); places that were left are skipped when they come up."""

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    @property
    def head(self) -> Item:
        """The oldest row; the queue must not be empty."""
        return next(iter(self._items.values()))

    @property
    def earliest_deadline(self) -> float:
        """The nearest deadline of any row; infinite where none has one."""
        while self._deadlines and self._deadlines[0][1] not in self._items:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else math.inf

    def append(self, item: Item, place: int) -> None:
        """Put a row at the end; `place` is above all that were given before."""
        self._items[place] = item
        self._places[item] = place
        self.num_tokens += item.num_tokens
        if item.deadline.at < math.inf:
            heapq.heappush(self._deadlines, (item.deadline.at, place))

    def discard(self, item: Item) -> bool:
        """Take a row out, wherever it stands; False if it isn't here. O(1), amortised."""
        place = self._places.pop(item, None)
        if place is None:
            return False
        del self._items[place]
        self.num_tokens -= item.num_tokens
        self._compact_deadlines()
        return True

    def pop_head(self) -> Item:
        """Take out the oldest row; the queue must not be empty."""
        head = self.head
        self.discard(head)
        return head

    def pop_expired(self, horizon: float) -> list[Item]:
        """Take out the rows whose deadline lies before `horizon`."""
        expired = []
        while self.earliest_deadline < horizon:
            expired.append(self._items[self._deadlines[0][1]])
            self.discard(expired[-1])
        return expired

    def _compact_deadlines(self) -> None:
        # Without this, rows cancelled long before their deadline would pile up in the heap.
        if len(self._deadlines) > 2 * len(self._items) + 16:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._items]
            heapq.heapify(self._deadlines)


class Queues(Generic[Item]):
    """The queues of all slots that have rows waiting; an empty one is forgotten at once."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.next_place = 0
        """All rows that wait now stand at lower places, all later ones at this or higher."""
        self._by_slot: dict[int, SlotQueue[Item]] = {}

    def __len__(self) -> int:
        """How many slots have rows waiting."""
        return len(self._by_slot)

    def __iter__(self) -> Iterator[int]:
        return iter(self._by_slot)

    def __contains__(self, slot: int) -> bool:
        return slot in self._by_slot

    def __getitem__(self, slot: int) -> SlotQueue[Item]:
        """The queue of a slot that has rows waiting."""
        return self._by_slot[slot]

    @property
    def num_tokens(self) -> int:
        """Tokens waiting, in all queues."""
        return sum(queue.num_tokens for queue in self._by_slot.values())

    def depth(self, slot: int) -> int:
        """How many rows of a slot wait."""
        return len(self._by_slot.get(slot, ()))

    def append(self, item: Item, now: float) -> None:
        """Put a row at the end of its slot's queue."""
        item.enqueued_at = now
        self._by_slot.setdefault(item.slot, SlotQueue()).append(item, self.next_place)
        self.next_place += 1
        self.num_rows += 1

    def discard(self, item: Item) -> bool:
        """Take a row out, wherever it stands; False if it doesn't wait (any more)."""
        queue = self._by_slot.get(item.slot)
        if queue is None or not queue.discard(item):
            return False
        self._removed(item.slot, 1)
        return True

    def take(self, slot: int, num_rows: int) -> tuple[Item, ...]:
        """Take out the first rows of a slot, in their order; it must have as many."""
        queue = self._by_slot[slot]
        items = tuple(queue.pop_head() for _ in range(num_rows))
        self._removed(slot, num_rows)
        return items

    def take_all(self, slot: int) -> tuple[Item, ...]:
        """Take out all rows of a slot, in their order."""
        depth = self.depth(slot)
        return self.take(slot, depth) if depth else ()

    def pop_expired(self, slot: int, horizon: float) -> list[Item]:
        """Take out the rows of a slot whose deadline lies before `horizon`."""
        expired = self._by_slot[slot].pop_expired(horizon)
        self._removed(slot, len(expired))
        return expired

    def _removed(self, slot: int, num_rows: int) -> None:
        self.num_rows -= num_rows
        if not self._by_slot[slot]:
            del self._by_slot[slot]
