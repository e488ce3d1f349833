"""Which slot of an executor holds what: each slot is free or taken, and the base's is there for good."""

from collections.abc import ItemsView
from typing import Generic, TypeVar

from adaptermux_server.types import BASE_SLOT

_Resident = TypeVar("_Resident")


class Slots(Generic[_Resident]):
    """The residents of one executor, by slot, and the memory of their adapters."""

    def __init__(self, base: _Resident) -> None:
        """`base`: stands for the base model, at BASE_SLOT."""
        self._residents = {BASE_SLOT: base}
        self._num_bytes: dict[int, int] = {}

    def __contains__(self, slot: int) -> bool:
        return slot in self._residents

    def __getitem__(self, slot: int) -> _Resident:
        """What a slot holds. Raises KeyError if it is free."""
        return self._residents[slot]

    @property
    def num_bytes(self) -> int:
        """Memory of all adapters' tensors; may be read from any thread."""
        return sum(tuple(self._num_bytes.values()))

    def items(self) -> ItemsView[int, _Resident]:
        """All slots that aren't free, the base's too, and what they hold."""
        return self._residents.items()

    def check_free(self, slot: int) -> None:
        """Raise ValueError, for a bug, if a slot is taken."""
        if slot in self._residents:
            raise ValueError(f"slot {slot} is taken")

    def put(self, slot: int, resident: _Resident, num_bytes: int) -> None:
        """Fill a free slot; `num_bytes`: of the adapter's tensors."""
        self._residents[slot] = resident
        self._num_bytes[slot] = num_bytes

    def take(self, slot: int) -> _Resident:
        """Free a slot. Raises ValueError for the base's, KeyError for a free one."""
        if slot == BASE_SLOT:
            raise ValueError("the base model can't be removed")
        del self._num_bytes[slot]
        return self._residents.pop(slot)
