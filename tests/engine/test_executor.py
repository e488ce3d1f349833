"""The bank and the switch executor side by side, over one base."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from adaptermux_server.adapters.checkpoint import Checkpoint, read_checkpoint
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.executor import CombinedExecutor
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import BASE_SLOT, BatchPlan, ExecutorKind, Kernel, Pooling, Row, Task
from tests.support.models import make_adapter

# By slot: two for the bank, two of one module tree, one of a tree of its own.
METHODS = {1: "lora", 2: "dora", 3: "loha", 4: "loha", 5: "vera"}
Prepare = Callable[[int], PreparedAdapter]
Parts = tuple[BankExecutor, SwitchExecutor]


@pytest.fixture(scope="module")
def bank(backbone_of: Callable[[str], Backbone]) -> Bank:
    return Bank(backbone_of("bert"), KernelCosts(call=1.0, copied_float=0.0))


@pytest.fixture(scope="module")
def prepare(
    backbone_of: Callable[[str], Backbone],
    bank: Bank,
    base_folder: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Prepare:
    """Make a slot's adapter, for the bank where it fits."""
    preparer, root = AdapterPreparer(backbone_of("bert"), bank), tmp_path_factory.mktemp("adapters")

    @cache
    def checkpoint(slot: int) -> Checkpoint:
        folder = root / str(slot)
        task = Task.TOKEN_CLASSIFICATION
        return read_checkpoint(make_adapter(base_folder("bert"), folder, task, METHODS[slot], seed=slot))

    return lambda slot: preparer.prepare(checkpoint(slot))


@pytest.fixture
def parts(bert: Backbone, bank: Bank) -> Parts:
    return BankExecutor(bert, bank), SwitchExecutor(bert)


@pytest.fixture
def executor(parts: Parts, prepare: Prepare) -> CombinedExecutor:
    """With an adapter in each slot of `METHODS`."""
    made = CombinedExecutor(*parts)
    for slot in METHODS:
        made.install(slot, prepare(slot))
    return made


async def test_each_slot_is_computed_where_its_adapter_was_prepared_for(executor: CombinedExecutor) -> None:
    """The base with the bank's."""
    kernels = [executor.run(_plan(slot)).kernels[0] for slot in (BASE_SLOT, *METHODS)]

    assert [Kernel.BASE, *[Kernel.UNIFORM] * 2, *[Kernel.SWITCH] * 3] == kernels


async def test_answers_are_the_same_in_any_order_of_plans(executor: CombinedExecutor) -> None:
    """Neither executor sees what the other did to the base, nor the base anything at all."""
    slots = (BASE_SLOT, *METHODS)
    expected = {slot: executor.run(_plan(slot)).values[0] for slot in slots}
    generator = np.random.default_rng(0)

    for slot in generator.choice(slots, 30):
        np.testing.assert_array_equal(expected[slot], executor.run(_plan(slot)).values[0])
        mixed = [int(slot) for slot in generator.choice((BASE_SLOT, 1, 2), 4)]
        for chosen, values in zip(mixed, executor.run(_plan(*mixed)).values, strict=True):
            np.testing.assert_allclose(values, expected[chosen], rtol=0, atol=1e-5)


async def test_active_adapters_stay_so_through_batches_of_the_bank(executor: CombinedExecutor) -> None:
    """And the bank's batches say which they are."""
    executor.run(_plan(4))

    results = [executor.run(_plan(*slots)) for slots in ((1, 2, BASE_SLOT), (BASE_SLOT,), (4,), (3,), (2,))]

    assert [0, 0, 0, 1, 0] == [result.num_traversals for result in results]
    assert [{BASE_SLOT, 4, 5}] * 3 + [{BASE_SLOT, 3, 5}] * 2 == [result.resident_slots for result in results]


@pytest.mark.parametrize("slots", [(1, 3), (3, 1), (3, 4), (BASE_SLOT, 3), (1, 9)])
async def test_plan_over_lanes_is_a_bug_that_changes_nothing(
    slots: tuple[int, ...], executor: CombinedExecutor
) -> None:
    expected = {slot: executor.run(_plan(slot)).values[0] for slot in (3, 1, BASE_SLOT)}
    resident = executor.run(_plan(BASE_SLOT)).resident_slots

    with pytest.raises((KeyError, ValueError)):
        executor.run(_plan(*slots))

    assert resident == executor.run(_plan(BASE_SLOT)).resident_slots
    for slot, values in expected.items():
        np.testing.assert_array_equal(values, executor.run(_plan(slot)).values[0])


async def test_removed_slots_are_gone_and_the_others_stay(executor: CombinedExecutor) -> None:
    """Of either executor."""
    kept = (BASE_SLOT, 2, 4, 5)
    expected = {slot: executor.run(_plan(slot)).values[0] for slot in kept}

    for slot in (1, 3):
        executor.remove(slot)

    for slot in (1, 3):
        with pytest.raises(KeyError):
            executor.run(_plan(slot))
        with pytest.raises(KeyError):
            executor.remove(slot)
    for slot, values in expected.items():
        np.testing.assert_array_equal(values, executor.run(_plan(slot)).values[0])


async def test_base_can_not_be_removed(executor: CombinedExecutor) -> None:
    with pytest.raises(ValueError, match="the base model can't be removed"):
        executor.remove(BASE_SLOT)


@pytest.mark.parametrize("slot", [1, 3])
async def test_slot_can_not_be_taken_twice(slot: int, executor: CombinedExecutor, prepare: Prepare) -> None:
    with pytest.raises(ValueError, match=f"slot {slot} is taken"):
        executor.install(slot, prepare(slot))


async def test_bytes_are_those_of_both(parts: Parts, prepare: Prepare) -> None:
    executor = CombinedExecutor(*parts)
    prepared = {slot: prepare(slot) for slot in (1, 3)}
    seen = []

    for slot, adapter in prepared.items():
        executor.install(slot, adapter)
        seen.append(executor.adapter_bytes)
    for slot in prepared:
        executor.remove(slot)
        seen.append(executor.adapter_bytes)

    one, other = (adapter.spec.size_bytes for adapter in prepared.values())
    assert [one, one + other, other, 0] == seen


async def test_adapter_prepared_for_another_executor_is_refused(parts: Parts, prepare: Prepare) -> None:
    """By each of them."""
    banked, switched = parts
    for_bank, for_tree = prepare(1), prepare(3)

    assert (ExecutorKind.BANK, ExecutorKind.SWITCH) == (for_bank.spec.executor, for_tree.spec.executor)
    with pytest.raises(TypeError, match="the adapter wasn't prepared for a module tree"):
        switched.install(1, for_bank)
    with pytest.raises(TypeError, match="the adapter wasn't prepared for the bank"):
        banked.install(3, for_tree)


@pytest.mark.usefixtures("executor")
async def test_memory_of_the_base_is_counted_once(bert: Backbone, bank: Bank, parts: Parts) -> None:
    """The bank's tree and every module tree hold the backbone's own tensors."""
    trees = [bank._tree, *(tree.module for tree in parts[1]._forest)]
    own = {tensor.data_ptr(): tensor for tensor in bert.tensors()}

    assert 3 == len(trees)
    assert bert.facts.base_bytes == sum(tensor.untyped_storage().nbytes() for tensor in own.values())
    for tree in trees:
        held = {tensor.data_ptr() for tensor in (*tree.parameters(), *tree.buffers())}
        assert own.keys() <= held
    assert own.keys() == {tensor.data_ptr() for tensor in (*trees[0].parameters(), *trees[0].buffers())}


async def test_the_base_is_never_written_to(bert: Backbone, parts: Parts, prepare: Prepare) -> None:
    """By preparing, installing, computing or removing."""
    before = [tensor._version for tensor in bert.tensors()]
    values = [tensor.clone() for tensor in bert.tensors()]

    executor = CombinedExecutor(*parts)
    for slot in METHODS:
        executor.install(slot, prepare(slot))
        executor.run(_plan(slot))
    executor.run(_plan(1, 2, BASE_SLOT))
    for slot in METHODS:
        executor.remove(slot)

    assert before == [tensor._version for tensor in bert.tensors()]
    assert all(torch.equal(one, other) for one, other in zip(values, bert.tensors(), strict=True))


def _plan(*slots: int) -> BatchPlan:
    return BatchPlan.at_once(
        Row(slot, {"input_ids": (0, 7, 9, 11, 2)}, Pooling.MEAN if slot == BASE_SLOT else None, asyncio.Future())
        for slot in slots
    )
