"""The promise that an answer doesn't depend on who else is in the batch, put to the test before anything is served."""

from typing import Any

import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import Batch, Columns, collate, encode
from adaptermux_server.engine.heads import HeadShell

_SHORT, _LONG = ("a b c",), ("a b c d e f g", "h i j k l")
# Of the largest value. What depends on padding differs by far more, rounding by far less.
_TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-3}
_COARSE_TOLERANCE = 0.1


class PaddingProbe:
    """One text alone, and the same one padded beside a longer pair, with the backbone's outputs for both."""

    def __init__(self, backbone: Backbone) -> None:
        """Raises ValueError if the backbone can't compute from token ids alone, or if its answers differ."""
        short, long = (encode(backbone, *texts) for texts in (_SHORT, _LONG))
        self._alone = _compute(backbone, [short])
        self._beside = _compute(backbone, [short, long])
        alone, beside = (outputs.last_hidden_state[0, : len(short["input_ids"])] for _, outputs in self._pair)
        if not close(alone, beside):
            raise ValueError(f"{backbone.facts.architecture} can't be served: its answers depend on padding")

    def holds_for(self, head: HeadShell) -> bool:
        """Whether a head, too, answers alike in both."""
        try:
            alone, beside = (head.forward(batch, outputs)[0] for batch, outputs in self._pair)
        except (AssertionError, ValueError):
            # It wants all texts of a batch to be alike, say in how many end tokens they have.
            return False
        return close(alone, beside)

    @property
    def _pair(self) -> tuple[tuple[Batch, Any], tuple[Batch, Any]]:
        return self._alone, self._beside


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two computations of the same values, of one type, agree but for rounding."""
    limit = _TOLERANCES.get(one.dtype, _COARSE_TOLERANCE) * float(one.abs().max())
    return torch.allclose(one.float(), other.float(), rtol=0.0, atol=limit)


@torch.inference_mode()
def _compute(backbone: Backbone, rows: list[Columns]) -> tuple[Batch, Any]:
    batch = collate(rows, backbone)
    try:
        return batch, backbone.model(**batch.inputs)
    except (TypeError, ValueError) as error:
        architecture = backbone.facts.architecture
        raise ValueError(f"{architecture} can't be served: it needs more than one sequence of tokens") from error
