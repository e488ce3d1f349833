"""The adapters that benchmarks measure with."""

from pathlib import Path

import pytest
from peft import PeftConfig
from safetensors.torch import load_file

from benchmarks.adapters import ia3, lora, save_adapters


@pytest.mark.parametrize(("config", "factor"), [(ia3(), "ia3_l"), (lora(use_dora=True), "lora_magnitude_vector")])
def test_weights_that_are_factors_lie_around_one(config: PeftConfig, factor: str, base: Path, tmp_path: Path) -> None:
    """Around nought they would wipe out what they scale, and a benchmark's answers would all be alike."""
    (folder,) = save_adapters(tmp_path, 1, base, config).values()

    tensors = load_file(folder / "adapter_model.safetensors")

    factors = {name: float(tensor.mean()) for name, tensor in tensors.items() if factor in name}
    assert factors
    assert dict.fromkeys(factors, pytest.approx(1.0, abs=0.1)) == factors
