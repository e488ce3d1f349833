"""Adapters installed, removed and replaced between batches."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo
from tests.support.models import make_adapter
from tests.support.popularity import POPULARITY

KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lora", {}),
    ("lora", {"target_modules": ["query"]}),
    ("lora", {"target_modules": ["query"], "modules_to_save": ["classifier", "LayerNorm"]}),
    ("dora", {}),
    ("ia3", {}),
    ("vera", {}),
    ("adalora", {}),
)
TASKS = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)
OWN_POOLER: dict[str, Any] = {"modules_to_save": ["pooler"], "target_modules": ["query"]}


@pytest.mark.parametrize(
    ("executor", "adapters_per_tree", "seed"),
    [("auto", 2, 0), ("auto", 16, 1), ("switch", 1, 0), ("switch", 2, 1), ("switch", 16, 3)],
)
async def test_answers_stay_right_while_adapters_come_and_go(
    executor: str, adapters_per_tree: int, seed: int, open_zoo: Callable[..., Zoo], tmp_path: Path
) -> None:
    """A random sequence of installs, removals and batches, checked at each step."""
    zoo = open_zoo("bert", adapters_per_tree=adapters_per_tree, executor=executor)
    generator = np.random.default_rng(seed)

    for step in range(14):
        if zoo.exhibits and generator.random() < 0.4:
            await zoo.dismiss(str(generator.choice(sorted(zoo.exhibits))))
        else:
            method, config = KINDS[generator.integers(len(KINDS))]
            task = TASKS[generator.integers(len(TASKS))]
            folder = make_adapter(zoo.base, tmp_path / str(step), task, method, seed=step, **config)
            await zoo.admit(f"adapter {step}", folder, task)
        for name in sorted(zoo.exhibits)[:4]:
            await zoo.check(name, generator)
        await zoo.check_mixed(POPULARITY["uniform"], 8, generator)

    await zoo.check_base()


async def test_module_of_its_own_serves_one_adapter_alone(open_zoo: Callable[[str], Zoo], tmp_path: Path) -> None:
    """An adapter that replaces the pooler leaves that of its neighbours as it was, also after it is gone."""
    zoo = open_zoo("bert")
    task = Task.SEQUENCE_CLASSIFICATION
    configs: dict[str, dict[str, Any]] = {"plain": {}, "own": OWN_POOLER, "other own": OWN_POOLER}
    for name, config in configs.items():
        await zoo.admit(name, make_adapter(zoo.base, tmp_path / name, task, seed=len(name), **config), task)

    await zoo.check_all(seed=0, num_plans=12)
    await zoo.dismiss("own")
    await zoo.check_all(seed=1, num_plans=8)


async def test_refused_adapter_leaves_all_as_it_was(open_zoo: Callable[[str], Zoo], tmp_path: Path) -> None:
    """A checkpoint of another base, refused, between two batches."""
    zoo = open_zoo("bert")
    stranger = open_zoo("roberta")
    task = Task.TOKEN_CLASSIFICATION
    await zoo.admit("resident", make_adapter(zoo.base, tmp_path / "resident", task), task)
    bytes_before = zoo.engine.memory().adapter_bytes

    with pytest.raises(AdapterMuxError):
        await zoo.admit("stranger", make_adapter(stranger.base, tmp_path / "stranger", task), task)

    assert bytes_before == zoo.engine.memory().adapter_bytes
    await zoo.check_all(seed=0, num_plans=4)
    await zoo.check_base()
