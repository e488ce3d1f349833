"""Rows of different adapters in one forward: each is answered as plain PEFT answers it with that adapter alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.types import Kernel, Task
from tests.fidelity.zoo import Zoo, assert_close
from tests.support.models import make_adapter
from tests.support.popularity import POPULARITY

SEQUENCE, TOKEN, ANSWER, FEATURE = (
    Task.SEQUENCE_CLASSIFICATION,
    Task.TOKEN_CLASSIFICATION,
    Task.QUESTION_ANSWERING,
    Task.FEATURE_EXTRACTION,
)
RESIDENTS: tuple[tuple[Task, str, int, dict[str, Any]], ...] = (
    (SEQUENCE, "lora", 2, {}),
    (TOKEN, "lora", 7, {}),
    (ANSWER, "lora", 2, {}),
    (FEATURE, "lora", 0, {"r": 6}),
    (SEQUENCE, "rslora", 5, {"r": 9}),
    (TOKEN, "dora", 3, {}),
    (SEQUENCE, "ia3", 3, {}),
    (TOKEN, "ia3", 4, {"feedforward_modules": []}),
    (SEQUENCE, "lora", 1, {"target_modules": ["query"]}),
    (ANSWER, "dora", 2, {"target_modules": ["query", "key"], "rank_pattern": {"query": 7}}),
    (TOKEN, "lora", 2, {"lora_bias": True, "target_modules": ["query", "value", "dense"]}),
    (SEQUENCE, "lora", 3, {"target_modules": ["word_embeddings", "value"]}),
)
GATHERING = KernelCosts(call=1.0, copied_float=0.0)
SEGMENTING = KernelCosts(call=0.0, copied_float=1.0)


@pytest.fixture(scope="module", params=[None, GATHERING, SEGMENTING], ids=["measured", "gathering", "segmenting"])
def zoo(open_zoo: Callable[..., Zoo], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Zoo:
    """Twelve adapters of several methods, ranks, targets and heads, all in the bank."""
    made: Zoo = open_zoo("bert", kernel_costs=request.param)
    asyncio.run(_admit_residents(made, tmp_path_factory.mktemp("residents")))
    assert len(RESIDENTS) == len(made.banked)
    return made


async def _admit_residents(zoo: Zoo, root: Path) -> None:
    for seed, (task, method, num_labels, config) in enumerate(RESIDENTS):
        name = f"{seed} {method} {task.value}"
        folder = make_adapter(zoo.base, root / name, task, method, num_labels=num_labels, seed=seed, **config)
        await zoo.admit(name, folder, task, num_labels)


@pytest.mark.parametrize("popularity", POPULARITY)
async def test_batches_of_every_popularity_answer_as_plain_peft(popularity: str, zoo: Zoo) -> None:
    """One row, two, and up to 24, among them rows of the base."""
    generator = np.random.default_rng(len(popularity))

    for num_rows in (1, 2, 5, 12, 24):
        await zoo.check_mixed(POPULARITY[popularity], num_rows, generator)


@pytest.mark.parametrize(("costs", "kernel"), [(GATHERING, Kernel.GATHERED), (SEGMENTING, Kernel.SEGMENTS)])
async def test_cost_model_decides_how_a_mixed_batch_is_computed(
    costs: KernelCosts, kernel: Kernel, open_zoo: Callable[..., Zoo], tmp_path: Path
) -> None:
    """Each of the kernels is met, so that the tests above are about both."""
    zoo = open_zoo("bert", kernel_costs=costs)
    for name in ("one", "two"):
        await zoo.admit(name, make_adapter(zoo.base, tmp_path / name, TOKEN, seed=len(name)), TOKEN)
    generator = np.random.default_rng(0)

    kernels = {(await zoo.check_mixed(POPULARITY["distinct"], 6, generator)).kernels for _ in range(3)}

    assert {(kernel,)} == kernels


async def test_permuting_rows_permutes_answers(zoo: Zoo) -> None:
    """Whoever stands where, and beside whom."""
    generator = np.random.default_rng(1)
    picks = zoo.pick_all(generator, 16)
    answers = await zoo.answers(picks)

    for _ in range(3):
        order = generator.permutation(len(picks))
        permuted = await zoo.answers([picks[place] for place in order])
        for values, place in zip(permuted, order, strict=True):
            assert_close(answers[place], values)


async def test_adding_rows_changes_no_answer(zoo: Zoo) -> None:
    """A row alone, and the same one in ever larger company."""
    generator = np.random.default_rng(2)
    picks = zoo.pick_all(generator, 12)
    alone = [(await zoo.answers([pick]))[0] for pick in picks]

    for num_rows in range(2, len(picks) + 1, 3):
        together = await zoo.answers(picks[:num_rows])
        for expected, values in zip(alone, together, strict=False):
            assert_close(expected, values)


async def test_loading_and_unloading_others_changes_no_answer(zoo: Zoo, tmp_path: Path) -> None:
    """Not by a bit, as the same batch is computed by the same products."""
    picks = zoo.pick_all(np.random.default_rng(3), 10)
    before = await zoo.answers(picks)

    for number in range(4):
        await zoo.admit("guest", make_adapter(zoo.base, tmp_path / str(number), TOKEN, "dora", seed=50 + number), TOKEN)
        for expected, values in zip(before, await zoo.answers(picks), strict=True):
            np.testing.assert_array_equal(expected, values)
        await zoo.dismiss("guest")
        for expected, values in zip(before, await zoo.answers(picks), strict=True):
            np.testing.assert_array_equal(expected, values)


async def test_bank_and_switch_executor_agree(open_zoo: Callable[..., Zoo], tmp_path: Path) -> None:
    """Also for an adapter outside of the bank, between batches of the bank."""
    zoo = open_zoo("bert")
    for name, method in {"banked": "lora", "also banked": "ia3", "switched": "loha", "also switched": "lokr"}.items():
        await zoo.admit(name, make_adapter(zoo.base, tmp_path / name, SEQUENCE, method, seed=len(name)), SEQUENCE)

    assert ["also banked", "banked"] == zoo.banked
    await zoo.check_all(seed=5, num_plans=20)
    await zoo.check_base()
