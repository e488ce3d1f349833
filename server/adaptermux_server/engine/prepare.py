"""From a checkpoint to an adapter that only needs a slot: everything that can fail, beside the engine thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.engine import peft_layers
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.blueprints import Blueprint, Blueprints
from adaptermux_server.engine.fit import Anatomy, check_fit
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.padding import PaddingProbe
from adaptermux_server.engine.peft_layers import ROOT, Layers, Outline
from adaptermux_server.errors import (
    BaseMismatchError,
    CheckpointMismatchError,
    ConfigUnsupportedError,
    InvalidRequestError,
)
from adaptermux_server.types import AdapterSpec, ExecutorKind, ProblemType, Task

Content = BankContent | Layers | None
"""An adapter's part of the backbone, for the bank or for a module tree; None: it changes nothing there."""

_LABELLED = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)


@dataclass(frozen=True, slots=True)
class PreparedAdapter:
    """An adapter that fits the base model, with its head built and its tensors on the device."""

    spec: AdapterSpec
    content: Content
    """For the executor that `spec` names."""
    head: HeadShell | None
    """None for feature extraction."""
    unseen_columns: frozenset[str]
    """Inputs that must be kept from the model, as plain PEFT does."""

    def to(self, device: torch.device) -> "PreparedAdapter":
        """An adapter of the bank on a device: the very same tensors, where they are there already."""
        if not (self.content is None or isinstance(self.content, BankContent)):
            raise TypeError("the adapter wasn't prepared for the bank")
        content, head = self.content and self.content.to(device), self.head and self.head.to(device)
        same = content is self.content and head is self.head
        return self if same else replace(self, content=content, head=head)


class AdapterPreparer:
    """Checks checkpoints against one base model and builds all of an adapter that doesn't touch it."""

    def __init__(self, backbone: Backbone, bank: Bank | None) -> None:
        """`bank`: None: all is for the switch executor.

        Raises ValueError if the backbone's answers would depend on who else is in a batch.
        """
        self._backbone = backbone
        self._bank = bank
        self._probe = PaddingProbe(backbone)
        self._blueprints = Blueprints(backbone)

    def prepare(
        self, checkpoint: Checkpoint, labels: tuple[str, ...] = (), problem_type: ProblemType | None = None
    ) -> PreparedAdapter:
        """Check everything that can be wrong: some 100 ms for the first adapter of a kind, less for the next.

        `labels` empty: LABEL_0… ; `problem_type` None: regression for one output, else single label.

        Raises:
            ConfigUnsupportedError: the method, the task or a field can't be served on this base.
            BaseMismatchError, CheckpointMismatchError, HeadIncompleteError: see `check_fit`.
            InvalidRequestError: `labels`, which aren't the checkpoint's own, don't fit the head.
        """
        num_labels = self._num_labels(checkpoint, labels)
        blueprint = self._blueprint(checkpoint, num_labels)
        check_fit(
            blueprint.anatomy,
            blueprint.outline,
            {name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()},
        )
        tensors = _to_device(self._backbone, checkpoint, blueprint.fields)
        layers = peft_layers.part(blueprint.fields, blueprint.outline, tensors, _inside(blueprint.anatomy))
        unseen_columns = peft_layers.UNSEEN_COLUMNS.get(checkpoint.task, frozenset())
        executor, content = self._placed(layers, unseen_columns)
        names = _labels(checkpoint, labels, num_labels)
        head = self._head(checkpoint.task, num_labels, blueprint.anatomy, tensors)
        spec = AdapterSpec(
            task=checkpoint.task,
            problem_type=_problem_type(checkpoint.task, names, problem_type),
            labels=names,
            peft_type=checkpoint.peft_type,
            rank=blueprint.outline.rank,
            target_modules=tuple(sorted(layers.adapted)) if layers else (),
            size_bytes=_size_bytes(content, head, tensors, blueprint.outline),
            executor=executor,
        )
        return PreparedAdapter(spec, content, head, unseen_columns)

    def _placed(self, layers: Layers | None, unseen_columns: frozenset[str]) -> tuple[ExecutorKind, Content]:
        """For the bank where that can represent it exactly, else for the switch executor."""
        if self._bank is None or not self._bank.can_hide(unseen_columns):
            return ExecutorKind.SWITCH, layers
        if layers is None:
            return ExecutorKind.BANK, None
        if not self._bank.fits(layers):
            return ExecutorKind.SWITCH, layers
        return ExecutorKind.BANK, self._bank.make_content(layers)

    def _num_labels(self, checkpoint: Checkpoint, labels: tuple[str, ...]) -> int:
        """Outputs of the head, by its tensors."""
        if checkpoint.task not in _LABELLED:
            return 2
        for name, axis in self._blueprints.label_axes(checkpoint.task).items():
            tensor = checkpoint.tensors.get(ROOT + name)
            if tensor is not None and tensor.ndim > axis and tensor.shape[axis] > 0:
                return _checked_count(checkpoint, labels, ROOT + name, tensor.shape[axis])
        # Without such a tensor the head isn't in the checkpoint, which `check_fit` will say.
        return len(labels) or 2

    def _blueprint(self, checkpoint: Checkpoint, num_labels: int) -> Blueprint:
        try:
            return self._blueprints.draw(checkpoint.task, num_labels, checkpoint.config)
        except peft_layers.NoTargetsError as error:
            first = min(checkpoint.tensors, default=ROOT)
            raise BaseMismatchError(first, "target_modules names no module of the base model") from error
        except (ValueError, TypeError, NotImplementedError) as error:
            architecture = self._backbone.facts.architecture
            raise ConfigUnsupportedError(
                "adapter_config.json", f"PEFT can't apply it to {architecture}; check its names and sizes"
            ) from error

    def _head(
        self, task: Task, num_labels: int, anatomy: Anatomy, tensors: Mapping[str, torch.Tensor]
    ) -> HeadShell | None:
        if task is Task.FEATURE_EXTRACTION:
            return None
        names = [name for name in anatomy.weights if not anatomy.in_backbone(name)]
        head = self._blueprints.head(task, num_labels).fill({name: tensors[ROOT + name] for name in names})
        if not self._probe.holds_for(head):
            architecture = self._backbone.facts.architecture
            raise ConfigUnsupportedError(
                "task_type", f"{architecture}'s head for {task.value} can't be served: its answers depend on padding"
            )
        return head


def _checked_count(checkpoint: Checkpoint, labels: tuple[str, ...], tensor: str, count: int) -> int:
    if len(labels) in (0, count):
        return count
    if labels == checkpoint.labels:
        raise CheckpointMismatchError(tensor, f"has {count} outputs, and config.json names {len(labels)} labels")
    raise InvalidRequestError(("labels", f"are {len(labels)}, and the head has {count} outputs"))


def _to_device(backbone: Backbone, checkpoint: Checkpoint, fields: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Methods compute in float32 as PEFT has them do, whatever the file's type; whole modules in the base's type."""
    return {
        name: tensor.to(
            backbone.device, torch.float32 if peft_layers.is_method_tensor(name, fields) else backbone.dtype
        )
        for name, tensor in checkpoint.tensors.items()
    }


def _size_bytes(content: Content, head: HeadShell | None, tensors: Mapping[str, torch.Tensor], outline: Outline) -> int:
    """Memory of an adapter once it is installed; in a module tree that is what PEFT makes of the tensors."""
    if isinstance(content, BankContent):
        return content.num_bytes + (head.num_bytes if head else 0)
    return sum(tensor.nbytes for tensor in tensors.values()) + outline.unsaved_bytes


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
