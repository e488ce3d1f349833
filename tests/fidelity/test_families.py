"""Every kind of head on every family: mixed traffic equals plain PEFT with one adapter, or is refused."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.backbone import load_backbone
from adaptermux_server.engine.engine import EngineSettings, open_engine
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import Task
from tests.fidelity.zoo import Pick, Zoo, assert_close
from tests.support.models import DECODERS, FAMILIES, MAX_TOKENS, make_adapter, make_base

SEQUENCE, ANSWER = Task.SEQUENCE_CLASSIFICATION, Task.QUESTION_ANSWERING
HEADS = (
    ("two classes", SEQUENCE, 2),
    ("five classes", SEQUENCE, 5),
    ("regression", SEQUENCE, 1),
    ("tags", Task.TOKEN_CLASSIFICATION, 7),
    ("answers", ANSWER, 2),
    ("features", Task.FEATURE_EXTRACTION, 0),
)
CLASSLESS = (("gemma", ANSWER), ("gptj", Task.TOKEN_CLASSIFICATION))
"""What transformers has no class for."""

PADDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama without any": ("llama", {}),
    "llama whose end pads": ("llama", {"pad_token_id": 2}),
    "mistral whose id is no token": ("mistral", {"pad_token_id": -1}),
    "qwen3 whose tokenizer alone has one": ("qwen3", {"pad_token_id": None}),
    "gemma whose tokenizer has another": ("gemma", {"pad_token_id": 6}),
    "gpt2 without any": ("gpt2", {}),
    "gpt2 whose end pads": ("gpt2", {"pad_token_id": 2}),
}
ENDS = ((0,), (1,), (2,), (6,), (2, 2), (1, 2), (6, 6, 1))

UNSERVED = {
    "longformer": "its head gives the base model inputs of its own",
    "nomic_bert": "needs pooler.dense.bias, which the base model lacks",
    "bart": "its answers depend on padding",
}


@pytest.mark.parametrize("family", FAMILIES)
async def test_mixed_heads_answer_as_plain_peft(family: str, open_zoo: Callable[[str], Zoo], tmp_path: Path) -> None:
    """Adapters with six heads, in random order, padded to other rows' lengths."""
    zoo = open_zoo(family)

    for seed, (name, task, num_labels) in enumerate(HEADS):
        if (family, task) not in CLASSLESS:
            folder = make_adapter(zoo.base, tmp_path / name, task, num_labels=num_labels, seed=seed)
            await zoo.admit(name, folder, task, num_labels)

    assert all(zoo.changes_answers(name) for name in zoo.exhibits)
    await zoo.check_all(seed=1, num_plans=20)
    await zoo.check_base()


@pytest.mark.parametrize("name", PADDINGS)
async def test_texts_may_hold_the_token_that_pads(name: str, tmp_path: Path) -> None:
    """Classifiers that read the last token find it as they do in the text alone, whatever pads their batch."""
    family, config = PADDINGS[name]
    base = make_base(family, tmp_path / "base", **config)
    # As decoders are published.
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(base)
    adapter = make_adapter(base, tmp_path / "adapter", SEQUENCE)
    rows = [{"input_ids": (*start, *end)} for start in ((), (7, 9, 30)) for end in ENDS]

    with closing(open_engine(EngineSettings(str(base), num_threads=1))) as engine:
        zoo = Zoo(base, engine, rows)
        exhibit = await zoo.admit("classifier", adapter, SEQUENCE)
        picks = [Pick(exhibit.slot, index, None, exhibit.expected(index, None)) for index in range(len(rows))]
        result = await zoo.run(picks)

    for pick, values in zip(picks, result.values, strict=True):
        assert_close(pick.expected, values)


@pytest.mark.parametrize(("family", "task"), CLASSLESS)
async def test_task_without_a_class_is_refused(
    family: str, task: Task, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """The adapter comes from a family that has one."""
    folder = make_adapter(open_zoo("llama").base, tmp_path / "adapter", task)

    with pytest.raises(ConfigUnsupportedError, match=f"has no model for {task.value}"):
        await open_zoo(family).engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)


@pytest.mark.parametrize("family", UNSERVED)
async def test_head_that_needs_more_than_hidden_states_is_refused(
    family: str, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """Longformer's chooses what the base attends to, Nomic's wants a pooler, BART's as many ends in each text."""
    zoo = open_zoo(family)
    folder = make_adapter(zoo.base, tmp_path / "adapter", SEQUENCE)

    with pytest.raises(ConfigUnsupportedError, match=UNSERVED[family]):
        await zoo.engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)


@pytest.mark.parametrize("family", DECODERS)
def test_decoders_keep_nothing_for_tokens_to_come(family: str, base_of: Callable[[str], Path]) -> None:
    """No cache of keys and values is built."""
    outputs = load_backbone(str(base_of(family))).model(input_ids=torch.tensor([[0, 7, 2]]))

    assert ["last_hidden_state"] == list(outputs)


@pytest.mark.parametrize(("rope_type", "max_tokens"), [("longrope", 16), ("dynamic", MAX_TOKENS)])
def test_no_row_is_so_long_that_it_turns_all_others(rope_type: str, max_tokens: int, tmp_path: Path) -> None:
    """Beyond the original length, LongRoPE rotates the positions of the whole batch by other angles."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4} if rope_type == "longrope" else {"factor": 4.0}
    rope = {"rope_type": rope_type, "rope_theta": 10000.0, "original_max_position_embeddings": 16, **factors}

    base = make_base("llama", tmp_path, rope_parameters=rope)

    assert max_tokens == load_backbone(str(base)).facts.max_tokens
