"""Plans that mix slots, against the switch executor, which computes one adapter at a time."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptermux_server.adapters.checkpoint import Checkpoint, read_checkpoint
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.collate import collate
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import BASE_SLOT, BatchPlan, Kernel, Pooling, Row, Task
from tests.engine.bank.made_up import GATHERING, SEGMENTING
from tests.engine.conftest import MakeCheckpoint
from tests.support.models import make_adapter
from tests.support.popularity import POPULARITY

TOLERANCE = 1e-5
MEAN = Pooling.MEAN
RESIDENTS: tuple[tuple[Task, str, dict[str, Any]], ...] = (
    (Task.TOKEN_CLASSIFICATION, "lora", {}),
    (Task.SEQUENCE_CLASSIFICATION, "lora", {"r": 3}),
    (Task.QUESTION_ANSWERING, "dora", {"target_modules": ["query", "dense"]}),
    (Task.FEATURE_EXTRACTION, "ia3", {}),
    (Task.SEQUENCE_CLASSIFICATION, "lora", {"target_modules": ["word_embeddings", "value"]}),
)
SLOTS = range(1, len(RESIDENTS) + 1)


class Rivals:
    """The same adapters in both executors."""

    def __init__(self, bert: Backbone, bank: Bank) -> None:
        self.bank = bank
        self.executor = BankExecutor(bert, bank)
        self.switch = SwitchExecutor(bert)
        self._preparer, self._switch_preparer = AdapterPreparer(bert, bank), AdapterPreparer(bert, None)
        self.prepared: dict[int, PreparedAdapter] = {}

    def install(self, slot: int, checkpoint: Checkpoint) -> None:
        self.prepared[slot] = self._preparer.prepare(checkpoint)
        self.executor.install(slot, self.prepared[slot])
        self.switch.install(slot, self._switch_preparer.prepare(checkpoint))

    def check(self, plan: BatchPlan) -> tuple[Kernel, ...]:
        """Each row of the plan is answered as the switch executor answers it alone."""
        result = self.executor.run(plan)
        expected = [self.switch.run(BatchPlan.at_once([row])).values[0] for row in plan.rows]
        for wanted, found in zip(expected, result.values, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)
        return result.kernels


@pytest.fixture(scope="module")
def checkpoints(
    base_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[int, Checkpoint]:
    """By slot."""
    folder = tmp_path_factory.mktemp("residents")
    return {
        slot: read_checkpoint(make_adapter(base_folder("bert"), folder / str(slot), task, method, seed=slot, **fields))
        for slot, (task, method, fields) in zip(SLOTS, RESIDENTS, strict=True)
    }


@pytest.fixture(scope="module", params=[GATHERING, SEGMENTING], ids=["gathering", "segmenting"])
def rivals(
    backbone_of: Callable[[str], Backbone], checkpoints: Mapping[int, Checkpoint], request: pytest.FixtureRequest
) -> Rivals:
    bert = backbone_of("bert")
    made = Rivals(bert, Bank(bert, request.param))
    for slot, checkpoint in checkpoints.items():
        made.install(slot, checkpoint)
    return made


@pytest.fixture
def two(preparer: AdapterPreparer, checkpoint_of: MakeCheckpoint) -> Mapping[int, PreparedAdapter]:
    """Adapters of one kind, for slots 1 and 2."""
    return {slot: preparer.prepare(checkpoint_of(seed=slot)) for slot in (1, 2)}


@pytest.fixture
def executor(bert: Backbone, bank_of: Callable[[str], Bank], two: Mapping[int, PreparedAdapter]) -> BankExecutor:
    """With these two."""
    made = BankExecutor(bert, bank_of("bert"))
    for slot, prepared in two.items():
        made.install(slot, prepared)
    return made


async def test_mixed_plans_answer_as_one_adapter_at_a_time(rivals: Rivals) -> None:
    """In every popularity, rows of the base among them; the answers are in the order of the rows."""
    generator = np.random.default_rng(0)
    for spread in POPULARITY.values():
        slots = spread(generator, 10, len(SLOTS) + 1)
        lengths = generator.integers(3, 20, len(slots))
        rivals.check(BatchPlan.at_once([_row(slot, int(length)) for slot, length in zip(slots, lengths, strict=True)]))


async def test_one_row_and_one_row_repeated_are_answered(rivals: Rivals) -> None:
    for slot in (BASE_SLOT, *SLOTS):
        rivals.check(BatchPlan.at_once([_row(slot)]))
        rivals.check(BatchPlan.at_once([_row(slot)] * 4))


async def test_forwards_of_a_plan_are_computed_one_by_one(rivals: Rivals) -> None:
    """Whatever their rows' positions; each says how."""
    plan = BatchPlan(tuple(_row(slot, 4 + slot) for slot in (3, 0, 1, 2, 1, 0)), ((5, 1), (4, 2), (0, 3)))

    kernels = rivals.check(plan)

    assert (Kernel.BASE, Kernel.UNIFORM, Kernel.SEGMENTS) == kernels


async def test_rows_that_share_a_batch_may_want_different_things(rivals: Rivals) -> None:
    """Of one slot: through the head, or any pooling."""
    rows = [_row(2, 5 + index, pooling) for index, pooling in enumerate((None, *Pooling, None))]

    rivals.check(BatchPlan.at_once([*rows, _row(3), _row(0)]))


async def test_question_answering_sees_no_token_types_beside_rows_that_do(rivals: Rivals) -> None:
    """PEFT's own class for the task drops them."""
    rows = [_typed_row(slot, types) for slot in (3, 1, 3, BASE_SLOT) for types in ((0,) * 7, (0, 0, 0, 1, 1, 1, 1))]

    rivals.check(BatchPlan.at_once(rows))
    values = rivals.executor.run(BatchPlan.at_once(rows[:4])).values

    np.testing.assert_allclose(values[0], values[1], atol=TOLERANCE)
    assert not np.allclose(values[2], values[3], atol=1e-3)


async def test_adapter_that_changes_nothing_but_the_head_is_served(rivals: Rivals) -> None:
    """Its rows are the base's until then."""
    rivals.executor.install(9, replace(rivals.prepared[1], content=None))
    ids = _row(1).columns
    rows = [Row(slot, ids, pooling, asyncio.Future()) for slot, pooling in ((9, MEAN), (BASE_SLOT, MEAN), (9, None))]

    result = rivals.executor.run(BatchPlan.at_once([*rows, _row(1)]))
    rivals.executor.remove(9)

    np.testing.assert_allclose(result.values[0], result.values[1], atol=TOLERANCE)
    assert (7, 3) == result.values[2].shape
    assert not np.allclose(result.values[2], result.values[3], atol=1e-3)
    assert (Kernel.UNIFORM,) == result.kernels


async def test_nothing_is_ever_switched(executor: BankExecutor) -> None:
    results = [executor.run(_plan(*slots)) for slots in ((1,), (2,), (1, 2), (0,), (2, 1, 0))]

    assert {(0, 0.0, frozenset({BASE_SLOT}))} == {
        (result.num_traversals, result.traversal_seconds, result.resident_slots) for result in results
    }
    assert all(result.compute_seconds > 0 for result in results)


async def test_removed_slot_is_gone_and_leaves_its_neighbours(executor: BankExecutor) -> None:
    """To the bit; and its slot has no rows."""
    expected = executor.run(_plan(1, 0)).values
    executor.run(_plan(1, 2))

    executor.remove(2)

    for before, after in zip(expected, executor.run(_plan(1, 0)).values, strict=True):
        np.testing.assert_array_equal(before, after)
    assert 2 not in executor
    with pytest.raises(KeyError):
        executor.run(_plan(1, 2))


@pytest.mark.parametrize("slots", [(2,), (1, 2), (1, 1, 2, 2)])
async def test_stale_reader_of_a_removed_adapter_gets_nan(
    slots: Sequence[int], bert: Backbone, bank_of: Callable[[str], Bank], two: Mapping[int, PreparedAdapter]
) -> None:
    """Never another's answer, nor one of the adapter that is gone; also where its weights had been gathered."""
    bank = bank_of("bert")
    contents = {slot: prepared.content for slot, prepared in two.items()}
    stale = [content for slot in slots if isinstance(content := contents[slot], BankContent)]
    batch = collate([_row(slot).columns for slot in slots], bert)
    executor = BankExecutor(bert, bank)
    executor.install(2, two[2])
    before, _ = bank.compute(batch, stale)

    executor.remove(2)
    after, _ = bank.compute(batch, stale)

    for index, slot in enumerate(slots):
        one, other = before.last_hidden_state[index], after.last_hidden_state[index]
        assert bool(other.isnan().all()) if slot == 2 else torch.equal(one, other)


async def test_forward_that_raises_changes_nothing(executor: BankExecutor) -> None:
    """An id outside of the vocabulary, in the midst of two adapters' traffic."""
    expected = executor.run(_plan(1, 2, 0)).values
    bad = Row(1, {"input_ids": (0, 99999, 2)}, None, asyncio.Future())

    with pytest.raises(IndexError):
        executor.run(BatchPlan.at_once([_row(2), bad]))

    for before, after in zip(expected, executor.run(_plan(1, 2, 0)).values, strict=True):
        np.testing.assert_array_equal(before, after)


async def test_slot_can_not_be_taken_twice(executor: BankExecutor, two: Mapping[int, PreparedAdapter]) -> None:
    """The base's least of all."""
    for slot in (BASE_SLOT, 1):
        with pytest.raises(ValueError, match=f"slot {slot} is taken"):
            executor.install(slot, two[2])
    with pytest.raises(ValueError, match="can't be removed"):
        executor.remove(BASE_SLOT)


async def test_adapter_for_a_module_tree_is_refused(
    executor: BankExecutor, bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """The slot stays free."""
    with pytest.raises(TypeError, match="the adapter wasn't prepared for the bank"):
        executor.install(3, AdapterPreparer(bert, None).prepare(checkpoint_of()))

    assert 3 not in executor


async def test_row_for_a_head_that_is_not_there_is_a_bug(executor: BankExecutor) -> None:
    with pytest.raises(ValueError, match="a row wants the head of slot 0, which has none"):
        executor.run(BatchPlan.at_once([_row(1), Row(BASE_SLOT, {"input_ids": (0, 2)}, None, asyncio.Future())]))


def _plan(*slots: int) -> BatchPlan:
    return BatchPlan.at_once([_row(slot) for slot in slots])


def _row(slot: int, num_tokens: int = 7, pooling: Pooling | None = None) -> Row:
    """Through the head, where there is one."""
    wanted = pooling or (MEAN if slot in (BASE_SLOT, 4) else None)
    ids = (0, *(5 + (7 * slot + 3 * place) % 60 for place in range(num_tokens - 2)), 2)
    return Row(slot, {"input_ids": ids}, wanted, asyncio.Future())


def _typed_row(slot: int, types: tuple[int, ...]) -> Row:
    row = _row(slot)
    return Row(slot, {**row.columns, "token_type_ids": types}, row.pooling, asyncio.Future())
