"""On what terms each slot is served."""

from dataclasses import dataclass

from adaptermux_server.types import BASE_SLOT, ExecutorKind


@dataclass(frozen=True, slots=True)
class Share:
    """The terms of one slot."""

    lane: int
    """Rows of one lane may share a batch. BASE_SLOT: that of the base and of all in the bank; else the slot itself."""
    max_wait_seconds: float
    weight: float = 1.0


class Shares:
    """The terms of all slots; one that was never configured has a lane of its own and the usual bound and weight."""

    def __init__(self, max_wait_seconds: float) -> None:
        """`max_wait_seconds`: the bound of slots that have none of their own."""
        self._max_wait_seconds = max_wait_seconds
        self._by_slot: dict[int, Share] = {}

    def __len__(self) -> int:
        """How many slots are configured."""
        return len(self._by_slot)

    def __getitem__(self, slot: int) -> Share:
        return self._by_slot.get(slot) or Share(slot, self._max_wait_seconds)

    def configure(self, slot: int, weight: float, max_wait_seconds: float | None, executor: ExecutorKind) -> None:
        """Set the terms of a slot; `max_wait_seconds` None: the usual bound."""
        lane = BASE_SLOT if executor is ExecutorKind.BANK else slot
        bound = self._max_wait_seconds if max_wait_seconds is None else max_wait_seconds
        self._by_slot[slot] = Share(lane, bound, weight)

    def forget(self, slot: int) -> None:
        """Drop the terms of a slot."""
        self._by_slot.pop(slot, None)
