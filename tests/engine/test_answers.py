"""From the outputs of a mixed batch to the values of each row."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch

from adaptermux_server.engine.answers import answer
from adaptermux_server.engine.collate import Batch
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.types import Pooling, Row

ROWS, TOKENS, WIDTH = 5, 4, 3
LENGTHS = (4, 2, 3, 4, 1)


class Outputs(OrderedDict[str, Any]):
    """As transformers' outputs are: a mapping and attributes."""

    @property
    def last_hidden_state(self) -> torch.Tensor:
        hidden: torch.Tensor = self["last_hidden_state"]
        return hidden


@dataclass
class Head:
    """Notes what it gets and answers with each row's first hidden state, times a factor."""

    factor: float

    def __post_init__(self) -> None:
        self.seen: list[tuple[Batch, Any]] = []

    def forward(self, batch: Batch, outputs: Any) -> tuple[torch.Tensor, ...]:
        self.seen.append((batch, outputs))
        return tuple(self.factor * row[0] for row in outputs.last_hidden_state)


HIDDEN = torch.arange(ROWS * TOKENS * WIDTH, dtype=torch.float32).view(ROWS, TOKENS, WIDTH)
OUTPUTS = Outputs(last_hidden_state=HIDDEN, hidden_states=(HIDDEN + 1, HIDDEN + 2), cache=None)
BATCH = Batch({"input_ids": torch.arange(ROWS * TOKENS).view(ROWS, TOKENS)}, LENGTHS)


def test_each_run_of_rows_goes_through_its_own_head_at_once() -> None:
    """And the head sees its rows' part of the batch alone."""
    heads = {1: Head(2.0), 2: Head(-1.0)}

    values = _answer([1, 1, 2, 2, 2], [None] * ROWS, heads)

    expected = [*(2 * HIDDEN[:2, 0]), *(-HIDDEN[2:, 0])]
    for wanted, found in zip(expected, values, strict=True):
        np.testing.assert_array_equal(wanted, found)
    ((batch, outputs),) = heads[2].seen
    assert (3, 4, 1) == batch.lengths
    assert BATCH.inputs["input_ids"][2:].tolist() == batch.inputs["input_ids"].tolist()
    assert torch.equal(HIDDEN[2:], outputs["last_hidden_state"])
    assert torch.equal(HIDDEN[2:] + 2, outputs["hidden_states"][1])
    assert outputs["cache"] is None


def test_rows_that_want_hidden_states_are_pooled_over_their_own_tokens() -> None:
    """Without a head, if nobody wants it."""
    values = _answer(
        [1] * 4 + [0], [Pooling.MEAN, Pooling.LAST, Pooling.MAX, Pooling.CLS, Pooling.MEAN], {1: Head(1.0)}
    )

    expected = [HIDDEN[0].mean(0), HIDDEN[1, 1], HIDDEN[2, :3].amax(0), HIDDEN[3, 0], HIDDEN[4, 0]]
    for wanted, found in zip(expected, values, strict=True):
        np.testing.assert_array_equal(wanted, found)


def test_rows_of_a_slot_may_want_different_things() -> None:
    head = Head(3.0)

    values = _answer([1, 1, 1, 0, 0], [Pooling.CLS, None, Pooling.CLS, Pooling.CLS, Pooling.CLS], {1: head})

    assert 1 == len(head.seen)
    for index, factor in enumerate((1, 3, 1, 1, 1)):
        np.testing.assert_array_equal(factor * HIDDEN[index, 0], values[index])


def test_head_that_nobody_wants_is_not_computed() -> None:
    head = Head(1.0)

    _answer([1] * ROWS, [Pooling.MEAN] * ROWS, {1: head})

    assert [] == head.seen


def test_values_are_copies_in_float32() -> None:
    """A view would keep the whole batch alive."""
    narrow = Outputs(last_hidden_state=HIDDEN.bfloat16())
    rows = [Row(0, {"input_ids": (0,) * length}, Pooling.LAST, cast(Any, None)) for length in LENGTHS]

    values = answer(rows, {0: None}, BATCH, narrow)

    assert all(value.dtype == np.float32 and value.flags.owndata for value in values)


def test_row_that_wants_a_head_that_is_not_there_is_a_bug() -> None:
    with pytest.raises(ValueError, match="a row wants the head of slot 3, which has none"):
        _answer([1, 3, 3, 3, 3], [None] * ROWS, {1: Head(1.0)})


def _answer(slots: list[int], poolings: list[Pooling | None], heads: dict[int, Head]) -> list[Any]:
    rows = [
        Row(slot, {"input_ids": (0,) * length}, pooling, cast(Any, None))
        for slot, pooling, length in zip(slots, poolings, LENGTHS, strict=True)
    ]
    shells = {slot: cast(HeadShell | None, heads.get(slot)) for slot in slots}
    return list(answer(rows, shells, BATCH, OUTPUTS))
