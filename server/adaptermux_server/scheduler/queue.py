"""All rows that wait, by lane and within it by slot."""

from collections.abc import Iterable, Iterator
from typing import Generic

from adaptermux_server.scheduler.lane_queue import LaneQueue
from adaptermux_server.scheduler.packing import BatchCosts, BatchLimits
from adaptermux_server.scheduler.shares import Shares
from adaptermux_server.scheduler.slot_queue import Item, SlotQueue


class Queues(Generic[Item]):
    """The queues of all lanes that have rows waiting; an empty one is forgotten at once."""

    def __init__(self, shares: Shares) -> None:
        self.num_rows = 0
        self._shares = shares
        self._lanes: dict[int, LaneQueue[Item]] = {}
        self._lane_of: dict[int, int] = {}
        """Where the rows of each slot wait. A slot changes its lane only when none of its rows does."""
        self._next_place = 0

    def __len__(self) -> int:
        """How many lanes have rows waiting."""
        return len(self._lanes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._lanes)

    def __contains__(self, lane: int) -> bool:
        return lane in self._lanes

    def __getitem__(self, lane: int) -> LaneQueue[Item]:
        """The queue of a lane that has rows waiting."""
        return self._lanes[lane]

    @property
    def num_tokens(self) -> int:
        """Tokens waiting, in all lanes."""
        return sum(queue.num_tokens for queue in self._lanes.values())

    def slots(self) -> Iterator[tuple[int, SlotQueue[Item]]]:
        """The slots that have rows waiting, with their queues."""
        for lane in self._lanes.values():
            yield from lane.slots.items()

    def depth(self, slot: int) -> int:
        """How many rows of a slot wait."""
        return len(self._lanes[self._lane_of[slot]].slots[slot]) if slot in self._lane_of else 0

    def lane_of(self, slot: int) -> int:
        """The lane that a row of a slot would join."""
        return self._lane_of.get(slot, self._shares[slot].lane)

    def append(self, item: Item, now: float) -> None:
        """Put a row at the end of its slot's queue."""
        item.enqueued_at = now
        lane = self._lane_of[item.slot] = self.lane_of(item.slot)
        if lane not in self._lanes:
            self._lanes[lane] = LaneQueue(self._shares)
        self._lanes[lane].append(item, self._next_place)
        self._next_place += 1
        self.num_rows += 1

    def discard(self, item: Item) -> bool:
        """Take a row out, wherever it stands; False if it doesn't wait (any more)."""
        lane = self._lane_of.get(item.slot)
        if lane is None or not self._lanes[lane].discard(item):
            return False
        self._removed(lane, (item,))
        return True

    def take(self, lane: int, num_rows: int) -> tuple[Item, ...]:
        """Take out the first rows of a lane, in fair order; it must have as many."""
        items = self._lanes[lane].take(num_rows)
        self._removed(lane, items)
        return items

    def take_slot(self, slot: int) -> tuple[Item, ...]:
        """Take out all rows of a slot, in their order; they don't count as served."""
        if slot not in self._lane_of:
            return ()
        items = tuple(self._lanes[self._lane_of[slot]].slots[slot])
        for item in items:
            self.discard(item)
        return items

    def pop_late(self, lane: int, start: float, costs: BatchCosts, limits: BatchLimits) -> list[Item]:
        """Take out the rows of a lane that are too late for a batch which begins at `start` (see `LaneQueue`)."""
        items = self._lanes[lane].pop_late(start, costs, limits)
        self._removed(lane, items)
        return items

    def _removed(self, lane: int, items: Iterable[Item]) -> None:
        waiting = self._lanes[lane].slots
        for item in items:
            self.num_rows -= 1
            if item.slot not in waiting:
                self._lane_of.pop(item.slot, None)
        if not waiting:
            del self._lanes[lane]
