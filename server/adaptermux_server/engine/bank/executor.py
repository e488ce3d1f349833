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
from adaptermux_server.engine.slots import Slots
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Kernel, Row, Values


@dataclass(frozen=True, slots=True)
class _Resident:
    """What a slot holds; the defaults are the base model's."""

    content: BankContent | None = None
    head: HeadShell | None = None
    unseen_columns: frozenset[str] = frozenset()
    prepared: PreparedAdapter | None = None
    """What it was made of, on the device."""


class BankExecutor:
    """Computes plans that mix slots. There is no active adapter: each forward is told whose its rows are."""

    def __init__(self, backbone: Backbone, bank: Bank) -> None:
        self._backbone = backbone
        self._bank = bank
        self._slots = Slots(_Resident())

    @property
    def adapter_bytes(self) -> int:
        """See `Executor`."""
        return self._slots.num_bytes

    def __contains__(self, slot: int) -> bool:
        return slot in self._slots

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot: a few references, whatever its size and however many there are."""
        self._slots.check_free(slot)
        here = prepared.to(self._backbone.device)
        content = here.content
        if not (content is None or isinstance(content, BankContent)):
            raise TypeError("the adapter wasn't prepared for the bank")
        self._slots.put(slot, _Resident(content, here.head, here.unseen_columns, here), here.spec.size_bytes)

    def evict(self, slot: int) -> PreparedAdapter | None:
        """Free a slot; gives back the adapter in host memory, where on a CPU it was all the time."""
        resident = self._slots.take(slot)
        kept = resident.prepared.to(torch.device("cpu")) if resident.prepared else None
        if resident.content is not None:
            self._bank.forget(resident.content, poison=kept is not resident.prepared)
        return kept

    def remove(self, slot: int) -> None:
        """Free a slot and its memory for good."""
        resident = self._slots.take(slot)
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
        unordered = [self._slots[plan.rows[position].slot].content for position in forward]
        positions = [forward[place] for place in order_rows([plan.rows[p].slot for p in forward], unordered)]
        rows = [plan.rows[position] for position in positions]
        batch = collate([self._columns(row) for row in rows], self._backbone)
        outputs, kernel = self._bank.compute(batch, [self._slots[row.slot].content for row in rows])
        heads = {row.slot: self._slots[row.slot].head for row in rows}
        values.update(zip(positions, answer(rows, heads, batch, outputs), strict=True))
        return kernel

    def _columns(self, row: Row) -> Columns:
        """What the row's adapter may see. A column of zeros stands for one that it must not (see `Bank.can_hide`)."""
        unseen = self._slots[row.slot].unseen_columns & row.columns.keys()
        return {**row.columns, **dict.fromkeys(unseen, (0,) * row.num_tokens)} if unseen else row.columns
