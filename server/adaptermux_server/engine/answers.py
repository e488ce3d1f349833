"""From the backbone's outputs to the values of each row: heads by adapter, pooling by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from adaptermux_server.engine.collate import Batch
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.pooling import pool
from adaptermux_server.types import Row, Values


def answer(rows: Sequence[Row], heads: Mapping[int, HeadShell | None], batch: Batch, outputs: Any) -> list[Values]:
    """The values of each row, in host memory.

    Args:
        rows: as they lie in the batch; each run of rows of one slot goes through its head at once.
        heads: by slot.
        batch, outputs: what the backbone got and gave.
    """
    values: list[torch.Tensor] = []
    for slot, run in groupby(rows, key=lambda row: row.slot):
        part = _Part(len(values), len(values) + len(tuple(run)))
        values += _answer_part(rows[part.start : part.stop], heads[slot], part.of_batch(batch), part.of(outputs))
    return [_to_values(value) for value in values]


@dataclass(frozen=True, slots=True)
class _Part:
    """Some neighbouring rows of a batch."""

    start: int
    stop: int

    def of_batch(self, batch: Batch) -> Batch:
        return Batch(self.of(batch.inputs), batch.lengths[self.start : self.stop])

    def of(self, value: Any) -> Any:
        """The rows' part of a tensor, or of all tensors in a mapping (a model's outputs) or a tuple."""
        if isinstance(value, torch.Tensor):
            return value[self.start : self.stop]
        if isinstance(value, Mapping):
            return type(value)(**{name: self.of(item) for name, item in value.items()})
        return tuple(map(self.of, value)) if isinstance(value, tuple) else value


def _answer_part(rows: Sequence[Row], head: HeadShell | None, batch: Batch, outputs: Any) -> list[torch.Tensor]:
    """The head over all rows, if any wants it: cheap beside the forward, also for rows that don't."""
    headed: Sequence[torch.Tensor] = ()
    if any(row.pooling is None for row in rows):
        if head is None:
            raise ValueError(f"a row wants the head of slot {rows[0].slot}, which has none")
        headed = head.forward(batch, outputs)
    hidden = outputs.last_hidden_state
    return [
        headed[index] if row.pooling is None else pool(hidden[index, : row.num_tokens], row.pooling)
        for index, row in enumerate(rows)
    ]


def _to_values(tensor: torch.Tensor) -> Values:
    """A copy of its own in host memory: a view would keep the whole padded batch alive."""
    return np.array(tensor.to("cpu", torch.float32).numpy())
