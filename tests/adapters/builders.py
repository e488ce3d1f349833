"""Small real adapters on disk, and safetensors files with any header that a test wants."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from hypothesis import settings

unhurried = settings(deadline=None)
"""For properties: a busy machine is no counterexample."""

LORA_CONFIG: Mapping[str, Any] = {
    "peft_type": "LORA",
    "task_type": "SEQ_CLS",
    "r": 2,
    "lora_alpha": 4,
    "target_modules": ["query"],
    "modules_to_save": ["classifier"],
    "bias": "none",
    "inference_mode": True,
}


def lora_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors of a rank-2 LoRA; another seed gives other content."""
    random = torch.Generator().manual_seed(seed)
    prefix = "base_model.model.encoder.layer.0.attention.self.query"
    return {
        f"{prefix}.lora_A.weight": torch.randn(2, 4, generator=random),
        f"{prefix}.lora_B.weight": torch.randn(4, 2, generator=random),
        "base_model.model.classifier.weight": torch.randn(3, 4, generator=random),
    }


def write_adapter(
    folder: Path,
    *,
    config: Mapping[str, Any] = LORA_CONFIG,
    tensors: Mapping[str, torch.Tensor] | None = None,
    model_config: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write an adapter into a new folder and return it."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    content = safetensors.torch.save(dict(lora_tensors(seed) if tensors is None else tensors))
    (folder / "adapter_model.safetensors").write_bytes(content)
    if model_config is not None:
        (folder / "config.json").write_text(json.dumps(model_config))
    return folder


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def raw_safetensors(header: Mapping[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A file with just this header and data, right or wrong."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + data
