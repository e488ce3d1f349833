"""The bare base model, which `served` measures a server against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.bare_base import BareBase
from benchmarks.base_process import bare_base

_TEXTS = ["film film film film", "good", "bad film film", "good film", "bad"]


def test_all_texts_are_computed_with_those_of_like_length_side_by_side(base: Path) -> None:
    bare, lengths = BareBase(base), []

    def note(_: nn.Module, args: Any, inputs: Mapping[str, torch.Tensor]) -> None:
        lengths.append(inputs["attention_mask"].sum(dim=1).tolist())

    bare.model.register_forward_pre_hook(note, with_kwargs=True)
    bare.run(_TEXTS, batch_rows=2)

    assert [[3, 3], [4, 5], [6]] == lengths


async def test_a_turn_of_the_process_computes_all_texts(base: Path) -> None:
    async with bare_base(_TEXTS, base) as process:
        turn = await process.turn()

    assert len(_TEXTS) == turn.num_rows
    assert turn.rows_per_second > 0
    assert process.batch_rows in (8, 16, 32, 64)
