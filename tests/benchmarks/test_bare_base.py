"""The bare base model, which `served` measures a server against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.bare_base import BareBase
from benchmarks.base_process import bare_base

_TEXTS = ["film film film film", "good", "bad film film", "good film", "bad"]


@pytest.mark.parametrize(
    ("window_rows", "batch_rows", "expected"),
    [(5, 2, [[3, 3], [4, 5], [6]]), (2, 2, [[3, 6], [4, 5], [3]]), (3, 1, [[3], [5], [6], [3], [4]])],
)
def test_all_texts_are_computed_sorted_by_length_within_windows(
    base: Path, window_rows: int, batch_rows: int, expected: list[list[int]]
) -> None:
    bare, lengths = BareBase(base), []

    def note(_: nn.Module, args: Any, inputs: Mapping[str, torch.Tensor]) -> None:
        lengths.append(inputs["attention_mask"].sum(dim=1).tolist())

    bare.model.register_forward_pre_hook(note, with_kwargs=True)
    bare.run(_TEXTS, window_rows, batch_rows)

    assert expected == lengths


async def test_a_turn_of_the_process_computes_all_texts(base: Path) -> None:
    async with bare_base(_TEXTS, (5, 2), base) as bases:
        turns = [await process.turn() for process in bases]

    assert [5, 2] == [process.window_rows for process in bases]
    assert [len(_TEXTS)] * 2 == [turn.num_rows for turn in turns]
    assert all(turn.rows_per_second > 0 for turn in turns)
