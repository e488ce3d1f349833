"""What tells one base model from another, without reading all of its weights."""

import hashlib
import json
from itertools import chain

import torch

from adaptermux_server.engine.backbone import Backbone

_SAMPLES = 1024


def fingerprint(backbone: Backbone, *more: object) -> str:
    """64 hex digits that differ between bases of other configurations, shapes, dtypes or weights.

    Of each tensor only some values are looked at, evenly spread: fine-tuning moves them all, so another base is told
    from this one; a change of a few values on purpose isn't. `more`: what else it is to depend on.
    """
    sha256 = hashlib.sha256(json.dumps([*map(str, more), _configuration(backbone)], sort_keys=True).encode())
    for name, tensor in chain(backbone.model.named_parameters(), backbone.model.named_buffers()):
        sha256.update(f"\0{name} {tuple(tensor.shape)} {tensor.dtype}\0".encode())
        sha256.update(_samples(tensor).numpy().tobytes())
    return sha256.hexdigest()


def _configuration(backbone: Backbone) -> dict[str, str]:
    # The folder that it was loaded from, and the library that wrote it, are no part of the model.
    fields = backbone.config.to_dict().items()
    return {key: repr(value) for key, value in fields if not key.startswith("_") and key != "transformers_version"}


def _samples(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().flatten()
    step = max(1, flat.numel() // _SAMPLES)
    return flat[::step][:_SAMPLES].to("cpu", torch.float64)
