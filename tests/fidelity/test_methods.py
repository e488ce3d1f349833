"""Every served PEFT method on BERT with two kinds of heads, and each on some other families with one."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from adaptermux_server.adapters import config_fields
from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo
from tests.support.models import METHODS, make_adapter

METHODS_OF: Mapping[str, Sequence[str]] = {
    "bert": tuple(METHODS),
    "electra": ("lora", "rslora", "lokr"),
    "roberta": ("dora", "vera"),
    "distilbert": ("ia3", "oft"),
    "deberta-v2": ("adalora",),
    "modernbert": ("loha",),
    # One module computes all layers.
    "albert": ("lora", "dora", "ia3", "lokr"),
    "llama": ("rslora", "dora", "ia3", "loha"),
    "qwen3": ("lora", "ia3", "oft"),
    "mistral": ("dora", "vera"),
    "gemma": ("rslora", "ia3", "lokr"),
    # Its linear layers hold their weights transposed.
    "gpt2": ("lora", "rslora", "dora", "ia3", "adalora", "vera"),
}


@pytest.mark.parametrize("family", METHODS_OF)
async def test_methods_beside_each_other_answer_as_plain_peft(
    family: str, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """Adapters of several methods on one base don't touch each other, nor the base."""
    zoo = open_zoo(family)
    tasks = (Task.TOKEN_CLASSIFICATION, Task.SEQUENCE_CLASSIFICATION)[: 2 if family == "bert" else 1]

    for seed, (method, task) in enumerate((method, task) for method in METHODS_OF[family] for task in tasks):
        name = f"{method} {task.value}"
        await zoo.admit(name, make_adapter(zoo.base, tmp_path / name, task, method, seed=seed), task)

    assert all(zoo.changes_answers(name) for name in zoo.exhibits)
    await zoo.check_all(seed=2, num_plans=4 * len(METHODS_OF[family]))
    await zoo.check_base()


@pytest.mark.parametrize("method", sorted(METHODS.keys() - set(METHODS_OF["gpt2"])))
async def test_method_that_peft_lacks_for_a_layer_is_refused(
    method: str, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """GPT-2's linear layers aren't torch's own."""
    folder = make_adapter(open_zoo("bert").base, tmp_path / "adapter", Task.FEATURE_EXTRACTION, method)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["c_attn"]}))

    with pytest.raises(ConfigUnsupportedError, match="PEFT can't apply it to GPT2Model"):
        await open_zoo("gpt2").engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)


def test_every_served_method_is_tested() -> None:
    """A method that joins the table needs a row here."""
    assert set(config_fields.METHODS) == {fields["peft_type"] for fields in METHODS.values()}
