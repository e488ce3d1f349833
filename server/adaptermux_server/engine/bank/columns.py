"""Which inputs may be kept from some rows of a batch and not from others."""

import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.sites import probe_rows
from adaptermux_server.engine.collate import Columns, collate
from adaptermux_server.engine.padding import close


def telling_columns(backbone: Backbone) -> frozenset[str]:
    """What the tokenizer makes and the model takes, and of which zeros don't mean the same as absence; the ids do."""
    (row,) = probe_rows(backbone, 1)
    names = row.keys() & backbone.columns
    return frozenset(name for name in names if name == "input_ids" or not _is_blank(backbone, row, name))


@torch.inference_mode()
def _is_blank(backbone: Backbone, row: Columns, name: str) -> bool:
    zeros = collate([{**row, name: (0,) * len(row["input_ids"])}], backbone)
    without = collate([row], backbone, frozenset({name}))
    one, other = (backbone.model(**batch.inputs).last_hidden_state for batch in (zeros, without))
    return close(one, other)
