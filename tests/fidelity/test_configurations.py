"""Fields of `adapter_config.json` that say where and how: each is applied as PEFT applies it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo
from tests.support.models import make_adapter

SEQUENCE, TOKEN, ANSWER, FEATURE = (
    Task.SEQUENCE_CLASSIFICATION,
    Task.TOKEN_CLASSIFICATION,
    Task.QUESTION_ANSWERING,
    Task.FEATURE_EXTRACTION,
)
QUERY_0 = "bert.encoder.layer.0.attention.self.query"

CONFIGURATIONS: dict[str, tuple[Task, str, dict[str, Any]]] = {
    "pattern as targets": (TOKEN, "lora", {"target_modules": r".*\.(query|value)"}),
    "alternatives in one pattern": (ANSWER, "dora", {"target_modules": r"bert\.encoder\.layer\.[01]\..*\.dense"}),
    "all linear layers, and the pooler": (SEQUENCE, "lora", {"target_modules": "all-linear"}),
    "all linear layers but the head": (
        TOKEN,
        "lora",
        {"target_modules": "all-linear", "exclude_modules": ["classifier"]},
    ),
    "a pattern to exclude": (FEATURE, "lora", {"exclude_modules": r"pooler.*|.*layer\.0.*"}),
    "one layer": (TOKEN, "lora", {"layers_to_transform": [1]}),
    "one layer under a name": (TOKEN, "lora", {"layers_to_transform": 0, "layers_pattern": "layer"}),
    "ranks and alphas by suffix": (TOKEN, "lora", {"rank_pattern": {"query": 2}, "alpha_pattern": {"dense": 3}}),
    "ranks by full name": (SEQUENCE, "dora", {"rank_pattern": {f"^{QUERY_0}$": 7}, "alpha_pattern": {QUERY_0: 1}}),
    "ranks under rank-stabilised scaling": (TOKEN, "rslora", {"rank_pattern": {"value": 8}}),
    "a bias in the low-rank path": (TOKEN, "lora", {"lora_bias": True}),
    "embeddings": (TOKEN, "lora", {"target_modules": ["word_embeddings", "query"]}),
    "a pooler of its own": (SEQUENCE, "lora", {"modules_to_save": ["pooler"], "target_modules": ["query"]}),
    "a layer norm of its own": (TOKEN, "ia3", {"modules_to_save": ["embeddings.LayerNorm"]}),
    "values kept by AdaLoRA": (
        TOKEN,
        "adalora",
        {"target_modules": ["query", "value"], "rank_pattern": {f"{QUERY_0}.lora_E": [True, False] * 3}},
    ),
    "no feed-forward modules": (TOKEN, "ia3", {"feedforward_modules": []}),
    "other feed-forward modules": (
        TOKEN,
        "ia3",
        {"target_modules": ["query", "dense"], "feedforward_modules": "query"},
    ),
    "feed-forward modules by pattern": (
        TOKEN,
        "ia3",
        {"target_modules": r".*\.(key|dense)", "feedforward_modules": r".*layer\.1.*dense"},
    ),
    "ranks in LoHa": (TOKEN, "loha", {"rank_pattern": {"query": 2}, "alpha_pattern": {"key": 3}}),
    "a decomposed LoKr": (TOKEN, "lokr", {"decompose_both": True, "decompose_factor": 4, "r": 1}),
    "another key of VeRA": (TOKEN, "vera", {"projection_prng_key": 7}),
    "VeRA without its projections": (SEQUENCE, "vera", {"save_projection": False, "projection_prng_key": 11}),
    "OFT by number of blocks": (TOKEN, "oft", {"r": 4, "oft_block_size": 0}),
    "constrained OFT with one block": (TOKEN, "oft", {"coft": True, "eps": 0.9, "block_share": True}),
    "OFT by the exact inverse": (TOKEN, "oft", {"use_cayley_neumann": False}),
}


NOT_IN_THE_BANK = {
    "a pooler of its own",
    "a layer norm of its own",
    "values kept by AdaLoRA",
    "ranks in LoHa",
    "a decomposed LoKr",
    "another key of VeRA",
    "VeRA without its projections",
    "OFT by number of blocks",
    "constrained OFT with one block",
    "OFT by the exact inverse",
}


@pytest.fixture(scope="module", params=["auto", "switch"])
def zoo(open_zoo: Callable[..., Zoo], request: pytest.FixtureRequest) -> Zoo:
    return open_zoo("bert", adapters_per_tree=8, executor=request.param)


@pytest.mark.parametrize("name", CONFIGURATIONS)
async def test_configuration_is_applied_as_peft_applies_it(name: str, zoo: Zoo, tmp_path: Path) -> None:
    """It answers rightly, and so do all that were admitted before it, of its own tree and of others."""
    task, method, config = CONFIGURATIONS[name]

    await zoo.admit(name, make_adapter(zoo.base, tmp_path / "adapter", task, method, seed=len(name), **config), task)

    assert zoo.changes_answers(name)
    if zoo.banked:
        assert (name in NOT_IN_THE_BANK) == (name not in zoo.banked)
    await zoo.check_all(seed=len(zoo.exhibits), num_plans=6)
    await zoo.check_base()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
async def test_files_of_other_types_are_computed_in_float32(dtype: torch.dtype, zoo: Zoo, tmp_path: Path) -> None:
    """As PEFT has it: the file's values, widened or narrowed once."""
    folder = make_adapter(zoo.base, tmp_path / "adapter", TOKEN, "dora", seed=5)
    weights = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    safetensors.torch.save_file(
        {name: tensor.to(dtype) for name, tensor in weights.items()}, folder / "adapter_model.safetensors"
    )

    await zoo.admit(str(dtype), folder, TOKEN)

    await zoo.check_all(seed=3, num_plans=4)
