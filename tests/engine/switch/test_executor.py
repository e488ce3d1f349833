"""Batch plans through the switch executor."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import BASE_SLOT, BatchPlan, Pooling, Row, Task, Values
from tests.engine.conftest import MakeCheckpoint
from tests.support.models import METHODS

ROW = (0, 7, 9, 2)
LONGER = (0, 8, 11, 12, 13, 2)


async def test_traversal_is_made_only_when_another_adapter_is_active(
    bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """Also the base, between them, needs none."""
    executor = _executor(bert, checkpoint_of, num_adapters=2)

    counts = [executor.run(_plan(slot)).num_traversals for slot in (1, 1, 2, 2, BASE_SLOT, 2, 1, BASE_SLOT)]

    assert [0, 0, 1, 0, 0, 0, 1, 0] == counts


async def test_slots_without_need_of_a_traversal_are_named(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """One of each tree, and the base."""
    executor = SwitchExecutor(bert, adapters_per_tree=2)
    for slot in (1, 2, 3):
        executor.install(slot, _prepared(bert, checkpoint_of))

    assert {BASE_SLOT, 2, 3} == executor.run(_plan(2)).resident_slots


async def test_removed_slot_is_not_resident(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Another of its tree takes its place, on all layers alike."""
    executor = _executor(bert, checkpoint_of, num_adapters=3)
    expected = [_values(executor, slot) for slot in (1, 3)]
    executor.run(_plan(2))

    executor.remove(2)

    assert {BASE_SLOT, 1} == executor.run(_plan(BASE_SLOT)).resident_slots
    np.testing.assert_array_equal(expected, [_values(executor, slot) for slot in (1, 3)])


async def test_times_and_values_come_with_every_plan(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    executor = _executor(bert, checkpoint_of, num_adapters=2)

    result = executor.run(_plan(2, [(ROW, None), (LONGER, None), (ROW, Pooling.CLS)]))

    assert [(4, 3), (6, 3), (32,)] == [values.shape for values in result.values]
    assert all(values.dtype == np.float32 and values.flags.owndata for values in result.values)
    assert result.traversal_seconds > 0
    assert result.compute_seconds > 0


@pytest.mark.parametrize("pooling", Pooling)
async def test_pooling_counts_special_tokens_and_never_padding(pooling: Pooling, bert: Backbone) -> None:
    """Beside a longer row it gives what it gives alone."""
    executor = SwitchExecutor(bert)
    with torch.no_grad():
        hidden = bert.model(input_ids=torch.tensor([ROW])).last_hidden_state[0].numpy()
    expected = {
        Pooling.MEAN: hidden.mean(axis=0),
        Pooling.CLS: hidden[0],
        Pooling.LAST: hidden[-1],
        Pooling.MAX: hidden.max(axis=0),
    }

    result = executor.run(_plan(BASE_SLOT, [(ROW, pooling), (LONGER, pooling)]))

    np.testing.assert_allclose(result.values[0], expected[pooling], atol=1e-5)


async def test_forward_that_raises_changes_nothing(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """An id outside of the vocabulary, in the midst of two adapters' traffic."""
    executor = _executor(bert, checkpoint_of, num_adapters=2)
    expected = {slot: _values(executor, slot) for slot in (1, 2, BASE_SLOT)}

    for slot in (1, 2):
        with pytest.raises(IndexError):
            executor.run(_plan(slot, [((0, 99999, 2), None)]))

    for slot, values in expected.items():
        np.testing.assert_array_equal(values, _values(executor, slot))


async def test_head_that_raises_lets_go_of_its_batch(
    bert: Backbone, checkpoint_of: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next batch's head sees that batch alone."""
    prepared = _prepared(bert, checkpoint_of)
    executor = SwitchExecutor(bert)
    executor.install(1, prepared)
    expected = _values(executor, 1)
    assert prepared.head is not None
    with monkeypatch.context() as patch:
        patch.setattr(prepared.head._model.classifier, "forward", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            executor.run(_plan(1))

    assert prepared.head._stub.outputs is None
    np.testing.assert_array_equal(expected, _values(executor, 1))


async def test_row_for_a_head_that_is_not_there_is_a_bug(bert: Backbone) -> None:
    with pytest.raises(ValueError, match="a row wants the head of slot 0, which has none"):
        SwitchExecutor(bert).run(_plan(BASE_SLOT, [(ROW, None)]))


async def test_slot_can_not_be_taken_twice(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    executor = _executor(bert, checkpoint_of, num_adapters=1)

    with pytest.raises(ValueError, match="slot 1 is taken"):
        executor.install(1, _prepared(bert, checkpoint_of))
    with pytest.raises(ValueError, match="can't be removed"):
        executor.remove(BASE_SLOT)


async def test_bytes_follow_what_is_installed(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    executor = SwitchExecutor(bert)
    prepared = _prepared(bert, checkpoint_of)

    executor.install(1, prepared)
    installed = executor.adapter_bytes
    executor.remove(1)

    assert (prepared.spec.size_bytes, 0) == (installed, executor.adapter_bytes)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        *((method, {}) for method in METHODS),
        ("lora", {"target_modules": ["query", "word_embeddings"]}),
        ("lora", {"target_modules": ["query"], "modules_to_save": ["classifier", "LayerNorm"]}),
    ],
)
async def test_bytes_are_those_of_the_tensors_that_an_adapter_brings(
    method: str, fields: dict[str, Any], bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """Its module tree's beyond the base, with what no checkpoint holds (OFT's indices, AdaLoRA's ranks); its head's."""
    executor = SwitchExecutor(bert)

    executor.install(1, AdapterPreparer(bert, None).prepare(checkpoint_of(method=method, **fields)))

    resident = executor._slots[1]
    assert resident.tree is not None
    assert resident.head is not None
    base = {tensor.data_ptr() for tensor in bert.tensors()}
    held = [
        tensor
        for module in (resident.tree.module, resident.head._model)
        for tensor in (*module.parameters(), *module.buffers())
        if tensor.data_ptr() not in base
    ]
    assert executor.adapter_bytes == sum(tensor.nbytes for tensor in held)


async def test_question_answering_sees_no_token_types(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """PEFT's own class for the task drops them, so no adapter of it has ever seen any."""
    executor = SwitchExecutor(bert)
    executor.install(1, AdapterPreparer(bert, None).prepare(checkpoint_of(task=Task.QUESTION_ANSWERING)))
    typed = Row(1, {"input_ids": ROW, "token_type_ids": (0, 0, 1, 1)}, None, asyncio.Future())

    np.testing.assert_array_equal(_values(executor, 1), executor.run(BatchPlan.at_once([typed])).values[0])


def _executor(bert: Backbone, checkpoint_of: MakeCheckpoint, num_adapters: int) -> SwitchExecutor:
    """With adapters of different weights in slots 1, 2…"""
    executor = SwitchExecutor(bert)
    for slot in range(1, num_adapters + 1):
        executor.install(slot, _prepared(bert, checkpoint_of, seed=slot))
    return executor


def _prepared(bert: Backbone, checkpoint_of: MakeCheckpoint, seed: int = 0) -> PreparedAdapter:
    return AdapterPreparer(bert, None).prepare(checkpoint_of(seed=seed))


def _plan(slot: int, rows: Sequence[tuple[tuple[int, ...], Pooling | None]] = ()) -> BatchPlan:
    chosen = rows or [(ROW, Pooling.MEAN if slot == BASE_SLOT else None)]
    return BatchPlan.at_once(Row(slot, {"input_ids": ids}, pooling, asyncio.Future()) for ids, pooling in chosen)


def _values(executor: SwitchExecutor, slot: int) -> Values:
    return executor.run(_plan(slot)).values[0]
