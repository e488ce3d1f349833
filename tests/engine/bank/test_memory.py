"""What an adapter in the bank takes, and that it is given back."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.types import BatchPlan, Row
from tests.engine.conftest import MakeCheckpoint


async def test_bytes_follow_what_is_installed(
    bert: Backbone, bank_of: Callable[[str], Bank], preparer: AdapterPreparer, checkpoint_of: MakeCheckpoint
) -> None:
    executor = BankExecutor(bert, bank_of("bert"))
    prepared = [preparer.prepare(checkpoint_of(r=rank)) for rank in (2, 4)]
    seen = [executor.adapter_bytes]

    for slot, adapter in enumerate(prepared, start=1):
        executor.install(slot, adapter)
        seen.append(executor.adapter_bytes)
    for slot in (1, 2):
        executor.remove(slot)
        seen.append(executor.adapter_bytes)

    one, other = (adapter.spec.size_bytes for adapter in prepared)
    assert [0, one, one + other, other, 0] == seen


@pytest.mark.parametrize(
    ("method", "fields"),
    [("lora", {"r": 3}), ("dora", {}), ("ia3", {}), ("lora", {"target_modules": ["query", "word_embeddings"]})],
    ids=["padded rank", "dora", "ia3", "embeddings"],
)
async def test_bytes_are_those_of_the_tensors_that_an_adapter_brings(
    *,
    method: str,
    fields: dict[str, Any],
    bert: Backbone,
    bank_of: Callable[[str], Bank],
    preparer: AdapterPreparer,
    checkpoint_of: MakeCheckpoint,
) -> None:
    """Its flat tensor's, padding and all, its tables' and its head's, each memory once; not its file's."""
    executor = BankExecutor(bert, bank_of("bert"))

    executor.install(1, preparer.prepare(checkpoint_of(method=method, **fields)))

    content, head = executor._slots[1].content, executor._slots[1].head
    assert content is not None
    assert head is not None
    tables = (tensor for table in content.tables.values() for tensor in (table.a, table.b))
    held = [tensor.untyped_storage() for tensor in (content.flat, *tables, *head._model.parameters())]
    assert executor.adapter_bytes == sum({storage.data_ptr(): storage.nbytes() for storage in held}.values())


async def test_removed_adapter_is_held_by_nobody(
    bert: Backbone, bank_of: Callable[[str], Bank], preparer: AdapterPreparer, checkpoint_of: MakeCheckpoint
) -> None:
    """Neither its tensors nor the views that it kept of them, also where they had been gathered."""
    executor = BankExecutor(bert, bank_of("bert"))
    for slot in (1, 2):
        executor.install(slot, preparer.prepare(checkpoint_of(seed=slot)))
    content = executor._slots[2].content
    assert content is not None
    held = [weakref.ref(tensor) for tensor in (content.flat, *_parts(content))]
    del content

    executor.run(_plan(2))
    executor.run(_plan(1, 2))
    executor.remove(2)
    gc.collect()

    assert len(held) > 2
    assert [None] * len(held) == [reference() for reference in held]


def _parts(content: BankContent) -> list[torch.Tensor]:
    """All A's and B's."""
    return [part for weights in content.views if weights for part in (weights.a, weights.b) if part is not None]


def _plan(*slots: int) -> BatchPlan:
    return BatchPlan.at_once(Row(slot, {"input_ids": (0, 7, 9, 2)}, None, asyncio.Future()) for slot in slots)
