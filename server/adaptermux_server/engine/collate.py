"""From rows to one padded batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from adaptermux_server.engine.backbone import Backbone

Columns = Mapping[str, tuple[int, ...]]
"""What the tokenizer made of one sequence, by name; as `Row.columns`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The inputs of one forward. Rows are padded on the right: their positions are those they have alone."""

    inputs: dict[str, torch.Tensor]
    """By column, each [rows, longest]; with the attention mask."""
    lengths: tuple[int, ...]
    """Tokens of each row, padding not counted."""


def collate(rows: Sequence[Columns], backbone: Backbone, unseen_columns: frozenset[str] = frozenset()) -> Batch:
    """Pad the columns of at least one row to the longest, on the backbone's device.

    Left out are `unseen_columns` and those that the backbone doesn't take.
    """
    lengths = tuple(len(row["input_ids"]) for row in rows)
    longest = max(lengths)
    columns = {
        name: [_padded(row[name], longest, pad_value(backbone, name)) for row in rows]
        for name in rows[0]
        if name in backbone.columns - unseen_columns
    }
    columns["attention_mask"] = [_padded((1,) * length, longest, 0) for length in lengths]
    inputs = {name: torch.tensor(values, dtype=torch.long) for name, values in columns.items()}
    return Batch({name: tensor.to(backbone.device) for name, tensor in inputs.items()}, lengths)


def pad_value(backbone: Backbone, column: str) -> int:
    """What fills a column: the tokenizer's id (else the model's) for tokens, its type for types, else 0."""
    if column == "input_ids":
        candidates = (backbone.tokenizer.pad_token_id, getattr(backbone.config, "pad_token_id", None), 0)
        return next(value for value in candidates if value is not None)
    return backbone.tokenizer.pad_token_type_id if column == "token_type_ids" else 0


def _padded(values: tuple[int, ...], length: int, filler: int) -> tuple[int, ...]:
    return values + (filler,) * (length - len(values))
