"""Executors compute batch plans. All their methods belong to the engine thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import Batch, collate
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.pooling import pool
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.engine.trees import Forest, PeftTree
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Row, Values


class Executor(Protocol):
    """What the engine needs of a way to compute."""

    adapter_bytes: int
    """Memory of all installed adapters' tensors; may be read from any thread."""

    def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan of at least one row whose slot is installed."""

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot; after an error the slot is free as before."""

    def remove(self, slot: int) -> None:
        """Free a slot."""


@dataclass(frozen=True, slots=True)
class _Resident:
    """What a slot holds; the defaults are the base model's."""

    tree: PeftTree | None = None
    """None: the pristine base."""
    head: HeadShell | None = None
    unseen_columns: frozenset[str] = frozenset()
    size_bytes: int = 0


class SwitchExecutor:
    """Computes each plan as plain PEFT would: its adapter activated in a module tree, one forward, then the head.

    A traversal is made only when the tree's active adapter isn't the plan's.
    """

    def __init__(self, backbone: Backbone, adapters_per_tree: int = 16) -> None:
        """`adapters_per_tree`: bounds what a traversal and an install cost; more trees cost Python objects."""
        self._backbone = backbone
        self._forest = Forest(backbone, adapters_per_tree)
        self._residents = {BASE_SLOT: _Resident()}
        self.adapter_bytes = 0

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put an adapter into a free slot; after an error the slot is free as before."""
        if slot in self._residents:
            raise ValueError(f"slot {slot} is taken")
        tree = self._forest.install(slot, prepared.layers) if prepared.layers else None
        self._residents[slot] = _Resident(tree, prepared.head, prepared.unseen_columns, prepared.spec.size_bytes)
        self.adapter_bytes += prepared.spec.size_bytes

    def remove(self, slot: int) -> None:
        """Free a slot; what its tree holds besides is untouched."""
        if slot == BASE_SLOT:
            raise ValueError("the base model can't be removed")
        resident = self._residents.pop(slot)
        self.adapter_bytes -= resident.size_bytes
        if resident.tree is not None:
            self._forest.remove(slot, resident.tree)

    def run(self, plan: BatchPlan) -> BatchResult:
        """Activate the slot, then compute the plan's forwards; see `Executor.run`."""
        resident = self._residents[plan.slot]
        started = time.perf_counter()
        num_traversals = _activate(resident.tree, plan.slot)
        activated = time.perf_counter()
        values = self._compute(plan, resident)
        return BatchResult(
            values=values,
            num_traversals=num_traversals,
            traversal_seconds=activated - started,
            # Whole also on a GPU: values that are in host memory have been computed.
            compute_seconds=time.perf_counter() - activated,
            resident_slots=self._resident_slots(),
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
        outputs = module(**batch.inputs)
        headed = _headed(rows, resident.head, batch, outputs)
        hidden = outputs.last_hidden_state
        return [
            _to_values(headed[index] if row.pooling is None else pool(hidden[index, : row.num_tokens], row.pooling))
            for index, row in enumerate(rows)
        ]

    def _resident_slots(self) -> frozenset[int]:
        free = {slot for slot, resident in self._residents.items() if resident.tree is None}
        return frozenset(free | {tree.active for tree in self._forest if tree.active is not None})


def _activate(tree: PeftTree | None, slot: int) -> int:
    """Make the traversal that is needed; returns how many were (0 or 1)."""
    if tree is None or tree.active == slot:
        return 0
    tree.activate(slot)
    return 1


def _headed(rows: Sequence[Row], head: HeadShell | None, batch: Batch, outputs: Any) -> tuple[torch.Tensor, ...]:
    """The head over the whole batch, if any row wants it: cheap beside the forward, also for rows that don't."""
    if all(row.pooling is not None for row in rows):
        return ()
    if head is None:
        raise ValueError(f"a row wants the head of slot {rows[0].slot}, which has none")
    return head.forward(batch, outputs)


def _to_values(tensor: torch.Tensor) -> Values:
    """A copy of its own in host memory: a view would keep the whole padded batch alive."""
    return np.array(tensor.to("cpu", torch.float32).numpy())
