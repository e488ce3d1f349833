"""An adapter's files, read once within limits and checked: what comes out needs no further look at the disk."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from adaptermux_server.adapters.adapter_config import CONFIG_FILE, parse_adapter_config
from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.folder import AdapterFolder
from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.model_config import MODEL_CONFIG_FILE, ModelConfig, parse_model_config
from adaptermux_server.adapters.safetensors_header import PREFIX_BYTES, WEIGHTS_FILE, header_bytes, parse_header
from adaptermux_server.errors import CheckpointMismatchError, SourceInvalidError
from adaptermux_server.types import ProblemType, Task

__all__ = ["Checkpoint", "CheckpointLimits", "read_checkpoint"]

_LABELLED_TASKS = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of an adapter's files, checked as far as that goes without the base model."""

    digest: str
    """Of the files used, as `canonical` has it."""
    peft_type: str
    config: Mapping[str, Any]
    """The fields of `adapter_config.json` that must be applied; the harmless ones are gone."""
    tensors: Mapping[str, torch.Tensor]
    """By their names in the file, on the CPU, in the file's dtype; floating ones are finite."""
    task: Task
    labels: tuple[str, ...] | None
    """Of `config.json`, for sequence and token classification; None: it names none."""
    problem_type: ProblemType | None
    """Of `config.json`, for sequence classification; None: it says nothing."""
    num_bytes: int
    """Of all tensors."""


def read_checkpoint(folder: Path, limits: CheckpointLimits = DEFAULT_LIMITS) -> Checkpoint:
    """Read and check the adapter in `folder`. Blocks: call it in a worker thread.

    Each file is opened once and its bytes are read once; the digest, the checks and the tensors are all of these bytes,
    so a file that changes meanwhile can't pass as one thing and serve as another.

    Raises:
        SourceInvalidError: a file is missing, too large, malformed, or of a kind that must not be opened.
        ConfigUnsupportedError: a field of the configuration isn't supported exactly.
        CheckpointMismatchError: a tensor holds NaN or an infinity.
    """
    with AdapterFolder(folder) as files:
        config_content = files.read(CONFIG_FILE, limits.config_bytes)
        config = parse_adapter_config(config_content)
        contents = {CONFIG_FILE: config_content}
        model_config = ModelConfig()
        if MODEL_CONFIG_FILE in files.names:
            contents[MODEL_CONFIG_FILE] = files.read(MODEL_CONFIG_FILE, limits.config_bytes)
            model_config = parse_model_config(contents[MODEL_CONFIG_FILE])
        contents[WEIGHTS_FILE] = _read_weights(files, limits)
    tensors = _tensors(contents[WEIGHTS_FILE])
    return Checkpoint(
        digest=digest_of(contents),
        peft_type=config.peft_type,
        config=config.applied,
        tensors=tensors,
        task=config.task,
        labels=model_config.labels if config.task in _LABELLED_TASKS else None,
        problem_type=model_config.problem_type if config.task is Task.SEQUENCE_CLASSIFICATION else None,
        num_bytes=sum(tensor.nbytes for tensor in tensors.values()),
    )


def _read_weights(files: AdapterFolder, limits: CheckpointLimits) -> bytes:
    """The content of the safetensors file; its data is read only once its header has passed."""
    with files.open(WEIGHTS_FILE, limits.weights_bytes) as file:
        prefix = file.read(PREFIX_BYTES)
        header = file.read(header_bytes(prefix, file.num_bytes, limits.header_bytes))
        data_bytes = file.num_bytes - len(prefix) - len(header)
        parse_header(header, data_bytes)
        return b"".join((prefix, header, file.read(data_bytes)))


def _tensors(content: bytes) -> Mapping[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise SourceInvalidError(f"{WEIGHTS_FILE}: {error}", file=WEIGHTS_FILE) from error
    for name in sorted(tensors):
        if tensors[name].is_floating_point() and not _is_finite(tensors[name]):
            raise CheckpointMismatchError(
                name, "holds NaN or an infinity: the training went wrong, or its precision did"
            )
    return tensors


def _is_finite(tensor: torch.Tensor) -> bool:
    # A sum holds every NaN and infinity there is, in a third of the time; a sum that overflowed proves nothing.
    return math.isfinite(float(tensor.sum(dtype=torch.float64))) or bool(torch.isfinite(tensor).all())
