"""Module trees that share the base's tensors, so that its memory is counted once."""

import copy

from torch import nn

from adaptermux_server.engine.backbone import Backbone


def twin(backbone: Backbone) -> nn.Module:
    """A second module tree over the very same parameters and buffers."""
    return copy.deepcopy(backbone.model, memo={id(tensor): tensor for tensor in backbone.tensors()})
