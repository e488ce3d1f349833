"""The rows that wait for one slot: first in, first out, with cancellation in O(1) and expiry by deadline."""

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterator
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from adaptermux_server.scheduler.packing import BatchCosts, is_late_alone
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

    def placed(self) -> Iterator[tuple[int, Item]]:
        """The rows with their places, in order."""
        return iter(self._items.items())

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

    def pop_late(self, start: float, costs: BatchCosts) -> list[Item]:
        """Take out rows that a batch which begins at `start` can't answer in time.

        That is all for which an empty batch would end too late, and the first ones for which their own would.
        """
        late = []
        while self.earliest_deadline < start + costs.batch(0):
            late.append(self._pop_nearest())
        first = tuple(takewhile(lambda row: is_late_alone(row, costs, start), self))
        for row in first:
            self.discard(row)
        return [*late, *first]

    def pop_before(self, time: float, num_kept: float) -> list[Item]:
        """Take out rows with deadlines before `time`, nearest first, as long as more than `num_kept` rows wait."""
        popped = []
        while len(self) > num_kept and self.earliest_deadline < time:
            popped.append(self._pop_nearest())
        return popped

    def _pop_nearest(self) -> Item:
        """Take out the row of `earliest_deadline`; one must have a deadline."""
        item = self._items[self._deadlines[0][1]]
        self.discard(item)
        return item

    def _compact_deadlines(self) -> None:
        # Without this, rows cancelled long before their deadline would pile up in the heap.
        if len(self._deadlines) > 2 * len(self._items) + 16:
            self._deadlines = [entry for entry in self._deadlines if entry[1] in self._items]
            heapq.heapify(self._deadlines)
