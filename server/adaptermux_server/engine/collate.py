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


def encode(backbone: Backbone, *texts: str) -> Columns:
    """What the backbone's own tokenizer makes of a text, or of a pair; no attention mask."""
    encoded = backbone.tokenizer(*texts)
    return {name: tuple(ids) for name, ids in encoded.items() if name != "attention_mask"}


def collate(rows: Sequence[Columns], backbone: Backbone, unseen_columns: frozenset[str] = frozenset()) -> Batch:
    """Pad the columns of at least one row to the longest, on the backbone's device.

    Left out are `unseen_columns` and those that the backbone doesn't take.
    """
    lengths = tuple(len(row["input_ids"]) for row in rows)
    longest = max(lengths)
    columns = {
        name: [_padded(row[name], longest, _filler(backbone, name)) for row in rows]
        for name in rows[0]
        if name in backbone.columns - unseen_columns
    }
    columns["attention_mask"] = [_padded((1,) * length, longest, 0) for length in lengths]
    inputs = {name: torch.tensor(values, dtype=torch.long) for name, values in columns.items()}
    return Batch({name: tensor.to(backbone.device) for name, tensor in inputs.items()}, lengths)


def _filler(backbone: Backbone, column: str) -> int:
    """What fills a column: for tokens the model's id if it has one for padding, for types the tokenizer's, else 0.

    It is masked, so any id will do that the model has a vector for; a tokenizer may name one beyond.
    """
    if column == "input_ids":
        token = getattr(backbone.config, "pad_token_id", None)
        return token if isinstance(token, int) and 0 <= token < backbone.config.vocab_size else 0
    return backbone.tokenizer.pad_token_type_id if column == "token_type_ids" else 0


def _padded(values: tuple[int, ...], length: int, filler: int) -> tuple[int, ...]:
    return values + (filler,) * (length - len(values))
