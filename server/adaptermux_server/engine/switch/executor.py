"""The executor that computes as plain PEFT would, one adapter at a time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from adaptermux_server.engine.answers import answer
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import collate
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.peft_layers import Layers
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.engine.slots import Slots
from adaptermux_server.engine.switch.trees import Forest, PeftTree
from adaptermux_server.types import BatchPlan, BatchResult, Kernel, Row, Values


@dataclass(frozen=True, slots=True)
class _Resident:
    """What a slot holds; the defaults are the base model's."""

    tree: PeftTree | None = None
    """None: the pristine base."""
    head: HeadShell | None = None
    unseen_columns: frozenset[str] = frozenset()


class SwitchExecutor:
    """Computes each plan as plain PEFT would: its adapter activated in a module tree, one forward, then the head.

    A traversal is made only when the tree's active adapter isn't the plan's.
    """

    def __init__(self, backbone: Backbone, adapters_per_tree: int = 16) -> None:
        """`adapters_per_tree`: bounds what a traversal and an install cost; more trees cost Python objects."""
        self._backbone = backbone
        self._forest = Forest(backbone, adapters_per_tree)
        self._slots = Slots(_Resident())

    @property
    def adapter_bytes(self) -> int:
        """See `Executor`."""
        return self._slots.num_bytes

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot; after an error the slot is free as before."""
        self._slots.check_free(slot)
        content = prepared.content
        if not (content is None or isinstance(content, Layers)):
            raise TypeError("the adapter wasn't prepared for a module tree")
        tree = self._forest.install(slot, content) if content else None
        self._slots.put(slot, _Resident(tree, prepared.head, prepared.unseen_columns), prepared.spec.size_bytes)

    def evict(self, slot: int) -> None:
        """Free a slot. PEFT has made modules of its own of the adapter: it must be prepared anew."""
        self.remove(slot)

    def remove(self, slot: int) -> None:
        """Free a slot; what its tree holds besides is untouched."""
        resident = self._slots.take(slot)
        if resident.tree is not None:
            self._forest.remove(slot, resident.tree)

    def run(self, plan: BatchPlan) -> BatchResult:
        """Activate the slot of all the plan's rows, then compute its forwards; see `Executor.run`."""
        (slot,) = {row.slot for row in plan.rows}
        resident = self._slots[slot]
        started = time.perf_counter()
        num_traversals = _activate(resident.tree, slot)
        activated = time.perf_counter() if num_traversals else started
        values = self._compute(plan, resident)
        return BatchResult(
            values=values,
            num_traversals=num_traversals,
            traversal_seconds=activated - started,
            # Whole also on a GPU: values that are in host memory have been computed.
            compute_seconds=time.perf_counter() - activated,
            resident_slots=self.resident_slots(),
            kernels=(Kernel.SWITCH,) * len(plan.forwards),
        )

    def _compute(self, plan: BatchPlan, resident: _Resident) -> tuple[Values, ...]:
        by_position = {
            position: values
            for forward in plan.forwards
            for position, values in zip(forward, self._forward([plan.rows[i] for i in forward], resident), strict=True)
        }
        return tuple(by_position[position] for position in range(len(plan.rows)))

    @torch.inference_mode()
    def _forward(self, rows: Sequence[Row], resident: _Resident) -> list[Values]:
        batch = collate([row.columns for row in rows], self._backbone, resident.unseen_columns)
        module: nn.Module = resident.tree.module if resident.tree else self._backbone.model
        return answer(rows, {rows[0].slot: resident.head}, batch, module(**batch.inputs))

    def resident_slots(self) -> frozenset[int]:
        """The slots that would need no traversal now."""
        free = {slot for slot, resident in self._slots.items() if resident.tree is None}
        return frozenset(free | {tree.active for tree in self._forest if tree.active is not None})


def _activate(tree: PeftTree | None, slot: int) -> int:
    """Make the traversal that is needed; returns how many were (0 or 1)."""
    if tree is None or tree.active == slot:
        return 0
    tree.activate(slot)
    return 1
