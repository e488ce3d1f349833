"""Ways to spoil an adapter's folder."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

Spoil = Callable[[Path], int | None]


def config(**fields: Any) -> Spoil:
    """Set fields of the configuration."""

    def spoil(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**content, **fields}))

    return spoil


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    """Change the map of tensors in place."""

    def spoil(folder: Path) -> None:
        content = load_file(folder / WEIGHTS)
        change(content)
        save_file({name: tensor.contiguous() for name, tensor in content.items()}, folder / WEIGHTS)

    return spoil


def file(name: str, content: bytes) -> Spoil:
    """Write a file."""
    return lambda folder: (folder / name).write_bytes(content)


def without(name: str) -> Spoil:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def header(fields: Mapping[str, Any] | str, data: bytes = b"\0" * 8, length: int | None = None) -> Spoil:
    """Write a safetensors file with this header, whose length is given as `length` if that isn't None."""
    text = (fields if isinstance(fields, str) else json.dumps(fields)).encode()
    return file(WEIGHTS, struct.pack("<Q", len(text) if length is None else length) + text + data)


def first_lora_a(content: Mapping[str, torch.Tensor]) -> str:
    """The name of one tensor of the adapter itself."""
    return min(name for name in content if "lora_A" in name)
