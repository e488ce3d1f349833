"""The store that `tiers` measures with."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.types import AdapterSpec, ExecutorKind, Task
from benchmarks.adapters import lora, save_adapters
from benchmarks.many_adapters import adapter_id, fill_store

SPEC = AdapterSpec(Task.SEQUENCE_CLASSIFICATION, None, ("a", "b", "c"), "LORA", 2, ("query",), 100, ExecutorKind.BANK)


def test_each_adapter_is_registered_with_a_content_of_its_own(base: Path, tmp_path: Path) -> None:
    (template,) = save_adapters(tmp_path, 1, base, lora(2, ("query",))).values()

    fill_store(tmp_path / "store", template, 3, SPEC, "some base")

    with Store(tmp_path / "store") as store:
        stored = store.database.adapters()
        folders = [store.content.path(adapter.digest) for adapter in stored]
        weights = [load_file(folder / "adapter_model.safetensors") for folder in folders]
        digests = [read_checkpoint(folder).digest for folder in folders]
    assert [adapter_id(number) for number in range(3)] == [adapter.id for adapter in stored]
    assert digests == [adapter.digest for adapter in stored]
    assert [(SPEC, "some base")] * 3 == [(adapter.spec, adapter.base) for adapter in stored]
    for name, tensor in load_file(template / "adapter_model.safetensors").items():
        assert [tensor.shape] * 3 == [one[name].shape for one in weights]
        assert not any(np.array_equal(weights[one][name], weights[other][name]) for one, other in ((0, 1), (1, 2)))
