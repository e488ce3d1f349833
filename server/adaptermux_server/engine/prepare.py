"""From a checkpoint to an adapter that only needs a slot: everything that can fail, beside the engine thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.engine import peft_layers
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.fit import Anatomy, check_fit
from adaptermux_server.engine.heads import HeadShell, backbone_prefix, bare_model
from adaptermux_server.engine.padding import PaddingProbe
from adaptermux_server.engine.peft_layers import ROOT, Layers, Outline
from adaptermux_server.engine.target_names import resolve_patterns
from adaptermux_server.errors import (
    BaseMismatchError,
    CheckpointMismatchError,
    ConfigUnsupportedError,
    InvalidRequestError,
)
from adaptermux_server.types import AdapterSpec, ProblemType, Task

_LABELLED = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)


@dataclass(frozen=True, slots=True)
class PreparedAdapter:
    """An adapter that fits the base model, with its head built and its tensors on the device."""

    spec: AdapterSpec
    layers: Layers | None
    """Its part of the backbone; None: it changes nothing there."""
    head: HeadShell | None
    """None for feature extraction."""
    unseen_columns: frozenset[str]
    """Inputs that must be kept from the model, as plain PEFT does."""


class AdapterPreparer:
    """Checks checkpoints against one base model and builds all of an adapter that doesn't touch it."""

    def __init__(self, backbone: Backbone) -> None:
        """Raises ValueError if the backbone's answers would depend on who else is in a batch."""
        self._backbone = backbone
        self._probe = PaddingProbe(backbone)

    def prepare(
        self, checkpoint: Checkpoint, labels: tuple[str, ...] = (), problem_type: ProblemType | None = None
    ) -> PreparedAdapter:
        """Take some 100 ms to check everything that can be wrong.

        `labels` empty: LABEL_0… ; `problem_type` None: regression for one output, else single label.

        Raises:
            ConfigUnsupportedError: the method, the task or a field can't be served on this base.
            BaseMismatchError, CheckpointMismatchError, HeadIncompleteError: see `check_fit`.
            InvalidRequestError: `labels`, which aren't the checkpoint's own, don't fit the head.
        """
        num_labels = _num_labels(self._backbone, checkpoint, labels)
        anatomy, outline, fields = self._checked(checkpoint, num_labels)
        tensors = _to_device(self._backbone, checkpoint, fields)
        layers = peft_layers.part(fields, outline, tensors, _inside(anatomy))
        names = _labels(checkpoint, labels, num_labels)
        spec = AdapterSpec(
            task=checkpoint.task,
            problem_type=_problem_type(checkpoint.task, names, problem_type),
            labels=names,
            peft_type=checkpoint.peft_type,
            rank=outline.rank,
            target_modules=tuple(sorted(layers.adapted)) if layers else (),
            size_bytes=sum(tensor.nbytes for tensor in tensors.values()),
        )
        head = self._head(checkpoint.task, num_labels, anatomy, tensors)
        return PreparedAdapter(spec, layers, head, peft_layers.UNSEEN_COLUMNS.get(checkpoint.task, frozenset()))

    def _checked(self, checkpoint: Checkpoint, num_labels: int) -> tuple[Anatomy, Outline, dict[str, Any]]:
        """The task's model, what PEFT makes of it, and the configuration with its patterns resolved."""
        model = bare_model(self._backbone, checkpoint.task, num_labels)
        anatomy = _anatomy(self._backbone, model, checkpoint.task)
        fields = resolve_patterns(checkpoint.config, sorted(anatomy.modules))
        outline = _outline(model, fields, checkpoint)
        check_fit(anatomy, outline, {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()})
        return anatomy, outline, fields

    def _head(
        self, task: Task, num_labels: int, anatomy: Anatomy, tensors: Mapping[str, torch.Tensor]
    ) -> HeadShell | None:
        if task is Task.FEATURE_EXTRACTION:
            return None
        names = [name for name in anatomy.weights if not anatomy.in_backbone(name)]
        head = HeadShell(self._backbone, task, num_labels, {name: tensors[ROOT + name] for name in names})
        if not self._probe.holds_for(head):
            architecture = self._backbone.facts.architecture
            raise ConfigUnsupportedError(
                "task_type", f"{architecture}'s head for {task.value} can't be served: its answers depend on padding"
            )
        return head


def _num_labels(backbone: Backbone, checkpoint: Checkpoint, labels: tuple[str, ...]) -> int:
    """Outputs of the head: the size that the head's tensors have where models of 2 and 3 labels differ."""
    if checkpoint.task not in _LABELLED:
        return 2
    two, three = (bare_model(backbone, checkpoint.task, count).state_dict() for count in (2, 3))
    for name in two:
        axis = next((axis for axis, size in enumerate(two[name].shape) if size != three[name].shape[axis]), None)
        tensor = checkpoint.tensors.get(ROOT + name)
        if axis is not None and tensor is not None and tensor.ndim > axis and tensor.shape[axis] > 0:
            return _checked_count(checkpoint, labels, ROOT + name, tensor.shape[axis])
    # Without such a tensor the head isn't in the checkpoint, which `check_fit` will say.
    return len(labels) or 2


def _checked_count(checkpoint: Checkpoint, labels: tuple[str, ...], tensor: str, count: int) -> int:
    if len(labels) in (0, count):
        return count
    if labels == checkpoint.labels:
        raise CheckpointMismatchError(tensor, f"has {count} outputs, and config.json names {len(labels)} labels")
    raise InvalidRequestError(("labels", f"are {len(labels)}, and the head has {count} outputs"))


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


def _outline(model: Any, fields: Mapping[str, Any], checkpoint: Checkpoint) -> Outline:
    try:
        return peft_layers.outline(model, fields)
    except peft_layers.NoTargetsError as error:
        first = min(checkpoint.tensors, default=ROOT)
        raise BaseMismatchError(first, "target_modules names no module of the base model") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ConfigUnsupportedError(
            "adapter_config.json", f"PEFT can't apply it to {type(model).__name__}; check its names and sizes"
        ) from error


def _to_device(backbone: Backbone, checkpoint: Checkpoint, fields: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Methods compute in float32 as PEFT has them do, whatever the file's type; whole modules in the base's type."""
    return {
        name: tensor.to(
            backbone.device, torch.float32 if peft_layers.is_method_tensor(name, fields) else backbone.dtype
        )
        for name, tensor in checkpoint.tensors.items()
    }


def _inside(anatomy: Anatomy) -> Callable[[str], str | None]:
    return lambda name: name.removeprefix(anatomy.prefix) if anatomy.in_backbone(name) else None


def _labels(checkpoint: Checkpoint, labels: tuple[str, ...], num_labels: int) -> tuple[str, ...]:
    if checkpoint.task not in _LABELLED:
        return ()
    return labels or tuple(f"LABEL_{index}" for index in range(num_labels))


def _problem_type(task: Task, labels: tuple[str, ...], given: ProblemType | None) -> ProblemType | None:
    if task is not Task.SEQUENCE_CLASSIFICATION:
        return None
    return given or (ProblemType.REGRESSION if len(labels) == 1 else ProblemType.SINGLE_LABEL)
