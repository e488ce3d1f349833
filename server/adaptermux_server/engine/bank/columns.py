"""Which inputs may be kept from some rows of a batch and not from others."""

import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.sites import probe_rows
from adaptermux_server.engine.collate import Columns, collate
from adaptermux_server.engine.padding import close


def blank_columns(backbone: Backbone) -> frozenset[str]:
    """Inputs beside the ids of which zeros mean the same as their absence."""
    (row,) = probe_rows(backbone, 1)
    names = row.keys() & backbone.columns - {"input_ids"}
    return frozenset(name for name in names if _is_blank(backbone, row, name))


@torch.inference_mode()
def _is_blank(backbone: Backbone, row: Columns, name: str) -> bool:
    zeros = collate([{**row, name: (0,) * len(row["input_ids"])}], backbone)
    without = collate([row], backbone, frozenset({name}))
    one, other = (backbone.model(**batch.inputs).last_hidden_state for batch in (zeros, without))
    return close(one, other)
