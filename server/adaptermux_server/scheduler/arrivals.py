"""What serving the same rows one by one, in the order of their arrival, would have cost in traversals."""

from collections import deque
from dataclasses import dataclass

from adaptermux_server.types import BASE_SLOT


@dataclass(slots=True)
class Arrival:
    """A row's place in the order of arrival."""

    slot: int
    answered: bool | None = None
    """None: still on its way."""


class ArrivalOrder:
    """Counts the changes of the slot along the answered rows, in the order of their arrival; base rows don't count.

    Keeps no rows, and no arrival that nothing earlier waits for.
    """

    def __init__(self) -> None:
        self.num_traversals = 0
        self._last_slot = BASE_SLOT
        self._open: deque[Arrival] = deque()

    def joined(self, slot: int) -> Arrival:
        """Note an arrival."""
        arrival = Arrival(slot)
        self._open.append(arrival)
        return arrival

    def left(self, arrival: Arrival, answered: bool) -> None:
        """Note how an arrival ended."""
        arrival.answered = answered
        while self._open and self._open[0].answered is not None:
            self._count(self._open.popleft())

    def _count(self, arrival: Arrival) -> None:
        if arrival.answered and arrival.slot not in (BASE_SLOT, self._last_slot):
            self.num_traversals += 1
            self._last_slot = arrival.slot
