"""Head shells: any head that transformers knows, over the shared backbone's outputs.

A shell is the task's own model class with a stub in the place of its backbone, so its forward is transformers' own,
pooling, dropout and all; only the hidden states come from outside.
"""

import copy
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import Batch
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import Task

_MODEL_CLASSES: Mapping[Task, Any] = {
    Task.SEQUENCE_CLASSIFICATION: AutoModelForSequenceClassification,
    Task.TOKEN_CLASSIFICATION: AutoModelForTokenClassification,
    Task.QUESTION_ANSWERING: AutoModelForQuestionAnswering,
    Task.FEATURE_EXTRACTION: AutoModel,
}
# What heads see in the place of padding if the model has no token for it; no text holds this id.
_NO_TOKEN = -1


def bare_model(backbone: Backbone, task: Task, num_labels: int) -> Any:
    """The task's model on the meta device: names and shapes without memory.

    Raises ConfigUnsupportedError where the backbone's architecture has no model for the task.
    """
    config = copy.deepcopy(backbone.config)
    config.num_labels = num_labels
    if getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = _NO_TOKEN
    # With a type, transformers would set torch's default type for all threads meanwhile.
    config.dtype = None
    try:
        with torch.device("meta"):
            model = _MODEL_CLASSES[task].from_config(config)
    except ValueError as error:
        raise _no_model(backbone, task) from error
    if task is not Task.FEATURE_EXTRACTION and type(model.base_model) is not type(backbone.model):
        raise _no_model(backbone, task)
    beyond = sorted(model.base_model.state_dict().keys() - backbone.model.state_dict().keys())
    if beyond:
        name = type(model).__name__
        raise ConfigUnsupportedError("task_type", f"{name} needs {beyond[0]}, which the base model lacks")
    return model


def backbone_prefix(model: Any) -> str:
    """What stands before the names of the backbone's modules in a task's model; empty if it is the backbone."""
    return "" if model.base_model is model else f"{model.base_model_prefix}."


class HeadTemplate:
    """The head of a task's model without weights, from which shells are made."""

    def __init__(self, backbone: Backbone, task: Task, num_labels: int) -> None:
        """Raises ConfigUnsupportedError where the backbone's architecture has no model for the task."""
        model = bare_model(backbone, task, num_labels)
        setattr(model, model.base_model_prefix, _Stub())
        self.task = task
        self._model = model.eval().requires_grad_(False)

    def fill(self, tensors: Mapping[str, torch.Tensor]) -> "HeadShell":
        """Make a shell. `tensors`: all of the head's, by their names in the task's model, on the backbone's device.

        Raises ConfigUnsupportedError if the head needs values besides.
        """
        if any(name not in tensors for name, _ in self._model.named_buffers()):
            name = type(self._model).__name__
            raise ConfigUnsupportedError("task_type", f"{name} computes with values that no file holds")
        config = self._model.config
        model = copy.deepcopy(self._model, memo={id(config): config})
        model.load_state_dict(dict(tensors), assign=True)
        return HeadShell(model, self.task)


class HeadShell:
    """One adapter's head. It belongs to the engine thread: a forward passes the hidden states through the stub."""

    def __init__(self, model: Any, task: Task) -> None:
        """`model`: the task's, with its weights and a `_Stub` for a backbone; see `HeadTemplate`."""
        self._stub: _Stub = getattr(model, model.base_model_prefix)
        self._model = model
        self._task = task

    def to(self, device: torch.device) -> "HeadShell":
        """The head on a device: itself, if it is there already."""
        if all(tensor.device == device for tensor in chain(self._model.parameters(), self._model.buffers())):
            return self
        config = self._model.config
        return HeadShell(copy.deepcopy(self._model, memo={id(config): config}).to(device), self._task)

    @property
    def num_bytes(self) -> int:
        """Memory of its tensors."""
        return sum(tensor.nbytes for tensor in chain(self._model.parameters(), self._model.buffers()))

    @torch.inference_mode()
    def forward(self, batch: Batch, hidden: Any) -> tuple[torch.Tensor, ...]:
        """The values of each row as `types.Values` has them, on the device, padding cut.

        `hidden`: the backbone's outputs for the batch.
        """
        inputs = {**batch.inputs, "input_ids": self._marked(batch)}
        self._stub.inputs, self._stub.outputs = inputs, hidden
        try:
            outputs = self._model(**inputs)
        finally:
            self._stub.inputs, self._stub.outputs = {}, None
        if self._task is Task.SEQUENCE_CLASSIFICATION:
            return tuple(outputs.logits)
        if self._task is Task.TOKEN_CLASSIFICATION:
            return _cut(outputs.logits, batch.lengths, axis=0)
        return _cut(torch.stack((outputs.start_logits, outputs.end_logits), dim=1), batch.lengths, axis=1)

    def _marked(self, batch: Batch) -> torch.Tensor:
        """The ids with the padding as the head knows it: some look for the last token that isn't padding, and whatever
        fills the backbone's inputs may occur in a text.
        """
        padding = batch.inputs["attention_mask"] == 0
        return batch.inputs["input_ids"].masked_fill(padding, self._model.config.pad_token_id)


class _Stub(nn.Module):
    """Stands for the backbone in a task's model and returns what the shared one computed from the same inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: Mapping[str, torch.Tensor] = {}
        self.outputs: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = {id(tensor) for tensor in self.inputs.values()}
        if any(isinstance(value, torch.Tensor) and id(value) not in given for value in (*args, *kwargs.values())):
            raise ConfigUnsupportedError("task_type", "its head gives the base model inputs of its own")
        return self.outputs


def _cut(values: torch.Tensor, lengths: Sequence[int], axis: int) -> tuple[torch.Tensor, ...]:
    return tuple(row.narrow(axis, 0, length) for row, length in zip(values, lengths, strict=True))


def _no_model(backbone: Backbone, task: Task) -> ConfigUnsupportedError:
    return ConfigUnsupportedError("task_type", f"{backbone.facts.architecture} has no model for {task.value}")
