"""Executors compute batch plans. All their methods belong to the engine thread."""

from dataclasses import replace
from typing import Protocol

from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import BatchPlan, BatchResult, ExecutorKind


class Executor(Protocol):
    """What the engine needs of a way to compute."""

    @property
    def adapter_bytes(self) -> int:
        """Memory of all installed adapters' tensors; may be read from any thread."""

    def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan of at least one row, all of installed slots."""

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot; after an error the slot is free as before."""

    def evict(self, slot: int) -> PreparedAdapter | None:
        """Free a slot; gives back what can be installed again, in host memory, or None where there is no such thing."""

    def remove(self, slot: int) -> None:
        """Free a slot for good."""


class CombinedExecutor:
    """Rows of the base and of the bank's slots go to the bank; all others to the switch executor, which shares the
    base's tensors with it.
    """

    def __init__(self, bank: BankExecutor, switch: SwitchExecutor) -> None:
        self._bank = bank
        self._switch = switch

    @property
    def adapter_bytes(self) -> int:
        """See `Executor`."""
        return self._bank.adapter_bytes + self._switch.adapter_bytes

    def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan whose rows are all of the bank (or the base), or all of one other slot."""
        if plan.rows[0].slot in self._bank:
            # What is active in the module trees stays so meanwhile.
            return replace(self._bank.run(plan), resident_slots=self._switch.resident_slots())
        return self._switch.run(plan)

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter where it was prepared for; after an error the slot is free as before."""
        self._of(prepared.spec.executor).install(slot, prepared)

    def evict(self, slot: int) -> PreparedAdapter | None:
        """See `Executor`."""
        return self._of(self._kind_of(slot)).evict(slot)

    def remove(self, slot: int) -> None:
        """Free a slot for good."""
        self._of(self._kind_of(slot)).remove(slot)

    def _kind_of(self, slot: int) -> ExecutorKind:
        return ExecutorKind.BANK if slot in self._bank else ExecutorKind.SWITCH

    def _of(self, kind: ExecutorKind) -> Executor:
        return self._bank if kind is ExecutorKind.BANK else self._switch
