"""What follows from an adapter's configuration alone, before its weights are looked at: built once for each kind.

Building takes PEFT and transformers some 100 ms, on the meta device. Adapters of one recipe differ in their weights
only, so that the second of a kind costs a look-up.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from adaptermux_server.engine import peft_layers
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.fit import Anatomy
from adaptermux_server.engine.heads import HeadTemplate, backbone_prefix, bare_model
from adaptermux_server.engine.peft_layers import Outline
from adaptermux_server.engine.target_names import resolve_patterns
from adaptermux_server.types import Task

_MAX_KINDS = 128
"""Some 100 kB each."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A task's model, and what PEFT makes of it."""

    anatomy: Anatomy
    outline: Outline
    fields: Mapping[str, Any]
    """The configuration, with its patterns resolved. Not to be changed."""


class Blueprints:
    """Blueprints and head templates for one base model. Belongs to the thread that prepares."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._drawn = lru_cache(_MAX_KINDS)(self._draw)
        self.head = lru_cache(_MAX_KINDS)(self._head)
        """(task, number of labels) → template."""
        self.label_axes = lru_cache(len(Task))(self._label_axes)
        """Task → the head's weights that grow with the number of labels, and along which axis."""

    def draw(self, task: Task, num_labels: int, config: Mapping[str, Any]) -> Blueprint:
        """Raises ConfigUnsupportedError where the base has no model for the task, and as `peft_layers.outline` does."""
        # JSON is what it came from. The order of the keys counts: of two patterns, PEFT takes the first that fits.
        return self._drawn(task, num_labels, json.dumps(dict(config)))

    def _draw(self, task: Task, num_labels: int, config: str) -> Blueprint:
        model = bare_model(self._backbone, task, num_labels)
        anatomy = _anatomy(self._backbone, model, task)
        fields = resolve_patterns(json.loads(config), sorted(anatomy.modules))
        return Blueprint(anatomy, peft_layers.outline(model, fields), fields)

    def _head(self, task: Task, num_labels: int) -> HeadTemplate:
        return HeadTemplate(self._backbone, task, num_labels)

    def _label_axes(self, task: Task) -> dict[str, int]:
        two, three = (bare_model(self._backbone, task, count).state_dict() for count in (2, 3))
        shapes = {name: zip(two[name].shape, three[name].shape, strict=True) for name in two}
        growing = {
            name: [axis for axis, (size, grown) in enumerate(pairs) if size != grown] for name, pairs in shapes.items()
        }
        return {name: axes[0] for name, axes in growing.items() if axes}


def _anatomy(backbone: Backbone, model: Any, task: Task) -> Anatomy:
    prefix = backbone_prefix(model)
    weights = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    # Without a head only the last hidden state counts, and no base is loaded that lacks weights for that.
    random = {prefix + name for name in backbone.missing} if task is not Task.FEATURE_EXTRACTION else set()
    return Anatomy(
        prefix=prefix,
        modules=frozenset(name for name, _ in model.named_modules() if name),
        weights=weights,
        random=frozenset(random & weights.keys()),
    )
