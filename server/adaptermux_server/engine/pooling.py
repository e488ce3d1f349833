"""From the last hidden states of one row to one vector."""

from collections.abc import Callable, Mapping

import torch

from adaptermux_server.types import Pooling

_POOLERS: Mapping[Pooling, Callable[[torch.Tensor], torch.Tensor]] = {
    Pooling.MEAN: lambda hidden: hidden.mean(dim=0),
    Pooling.CLS: lambda hidden: hidden[0],
    Pooling.LAST: lambda hidden: hidden[-1],
    Pooling.MAX: lambda hidden: hidden.amax(dim=0),
}


def pool(hidden: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Shapes: `hidden` [tokens, hidden], padding cut; returns [hidden] in float32."""
    return _POOLERS[pooling](hidden.float())
