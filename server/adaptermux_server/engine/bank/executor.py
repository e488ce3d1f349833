"""The executor of the bank: rows of any of its slots, and of the base, in one forward."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from adaptermux_server.engine.answers import answer
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.batch import order_rows
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.collate import Columns, collate
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Kernel, Row, Values


@dataclass(frozen=True, slots=True)
class _Resident:
    """What a slot holds besides its head; the defaults are the base model's."""

    content: BankContent | None = None
    unseen_columns: frozenset[str] = frozenset()
    size_bytes: int = 0


class BankExecutor:
    """Computes plans that mix slots. There is no active adapter: each forward is told whose its rows are."""

    def __init__(self, backbone: Backbone, bank: Bank) -> None:
        self._backbone = backbone
        self._bank = bank
        self._residents = {BASE_SLOT: _Resident()}
        self._heads: dict[int, HeadShell | None] = {BASE_SLOT: None}
        self.adapter_bytes = 0

    def __contains__(self, slot: int) -> bool:
        return slot in self._residents

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot: a few references, whatever its size and however many there are."""
        if slot in self._residents:
            raise ValueError(f"slot {slot} is taken")
        content = prepared.content
        if not (content is None or isinstance(content, BankContent)):
            raise TypeError("the adapter wasn't prepared for the bank")
        self._residents[slot] = _Resident(content, prepared.unseen_columns, prepared.spec.size_bytes)
        self._heads[slot] = prepared.head
        self.adapter_bytes += prepared.spec.size_bytes

    def remove(self, slot: int) -> None:
        """Free a slot and its memory."""
        if slot == BASE_SLOT:
            raise ValueError("the base model can't be removed")
        resident = self._residents.pop(slot)
        del self._heads[slot]
        self.adapter_bytes -= resident.size_bytes
        if resident.content is not None:
            self._bank.forget(resident.content)

    def run(self, plan: BatchPlan) -> BatchResult:
        """Compute the plan's forwards; see `Executor.run`."""
        started = time.perf_counter()
        values: dict[int, Values] = {}
        kernels = [self._forward(plan, forward, values) for forward in plan.forwards]
        return BatchResult(
            values=tuple(values[position] for position in range(len(plan.rows))),
            num_traversals=0,
            traversal_seconds=0.0,
            # Whole also on a GPU: values that are in host memory have been computed.
            compute_seconds=time.perf_counter() - started,
            resident_slots=frozenset({BASE_SLOT}),
            kernels=tuple(kernels),
        )

    @torch.inference_mode()
    def _forward(self, plan: BatchPlan, forward: Sequence[int], values: dict[int, Values]) -> Kernel:
        """Compute some of the plan's rows and add their values by position."""
        unordered = [self._residents[plan.rows[position].slot].content for position in forward]
        positions = [forward[place] for place in order_rows([plan.rows[p].slot for p in forward], unordered)]
        rows = [plan.rows[position] for position in positions]
        batch = collate([self._columns(row) for row in rows], self._backbone)
        outputs, kernel = self._bank.compute(batch, [self._residents[row.slot].content for row in rows])
        values.update(zip(positions, answer(rows, self._heads, batch, outputs), strict=True))
        return kernel

    def _columns(self, row: Row) -> Columns:
        """What the row's adapter may see. A column of zeros stands for one that it must not (see `Bank.can_hide`)."""
        unseen = self._residents[row.slot].unseen_columns & row.columns.keys()
        return {**row.columns, **dict.fromkeys(unseen, (0,) * row.num_tokens)} if unseen else row.columns
