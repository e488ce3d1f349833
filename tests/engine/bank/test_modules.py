"""What the bank's modules add, against a slow loop over the rows."""

from collections.abc import Mapping, Sequence
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from adaptermux_server.engine.bank.batch import plan_batch
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.workspace import Workspace
from adaptermux_server.engine.forms import Form, LowRank, Scaled
from adaptermux_server.types import Kernel
from tests.engine.bank.made_up import (
    ATTENTION,
    GATHERING,
    LINEAR,
    NUM_IDS,
    SEGMENTING,
    Adapter,
    Workbench,
    are_far,
    assert_near,
    low_rank,
)
from tests.support.popularity import POPULARITY

CPU = torch.device("cpu")
TYPES = (torch.float32, torch.bfloat16)
COSTS = {"gathering": GATHERING, "segmenting": SEGMENTING}

# Adapters of the first two kinds share a layout; all meet in one batch.
KINDS: Mapping[str, Mapping[str, Form]] = {
    "LoRA": dict.fromkeys(LINEAR, low_rank(4)),
    "LoRA of another rank and scale": dict.fromkeys(LINEAR, low_rank(3, 1.5)),
    "DoRA": dict.fromkeys(LINEAR, low_rank(4, 0.5, has_magnitude=True)),
    "IA3": {"key": Scaled(at_input=False), "value": Scaled(at_input=False), "down": Scaled(at_input=True)},
    "LoRA with biases": {"value": low_rank(2, has_bias=True), "pool": low_rank(5, has_bias=True)},
    "words": {"words": LowRank(4, 6.0, is_embedding=True)},
    "words and more": {"words": LowRank(2, 1.2, is_embedding=True), "out": low_rank(1)},
    "ranks by module": {"query": low_rank(1), "value": low_rank(7, 0.3), "up": low_rank(2)},
}


@pytest.fixture(scope="module", params=TYPES, ids=str)
def bench(request: pytest.FixtureRequest) -> Workbench:
    return Workbench(request.param)


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("popularity", POPULARITY)
@pytest.mark.parametrize("num_rows", [1, 2, 13])
def test_rows_of_all_kinds_equal_the_slow_loop(popularity: str, costs: str, num_rows: int, bench: Workbench) -> None:
    """Each row by itself: also those of the base, of one vector a row, and of a module that runs twice."""
    generator = np.random.default_rng(num_rows)
    residents: list[Adapter | None] = [None, *(bench.adapter(forms, seed) for seed, forms in enumerate(KINDS.values()))]
    whose = sorted(POPULARITY[popularity](generator, num_rows, len(residents)))

    _check(bench, [residents[index] for index in whose], COSTS[costs])


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("popularity", POPULARITY)
def test_rows_of_one_layout_equal_the_slow_loop(popularity: str, costs: str, bench: Workbench) -> None:
    """Which lets them be computed together; the batch says how they were."""
    residents = [bench.adapter(KINDS["LoRA"], seed) for seed in range(5)]
    whose = sorted(POPULARITY[popularity](np.random.default_rng(0), 12, len(residents)))

    kernel = _check(bench, [residents[index] for index in whose], COSTS[costs])

    several = Kernel.GATHERED if costs == "gathering" else Kernel.SEGMENTS
    assert (several if len(set(whose)) > 1 else Kernel.UNIFORM) is kernel


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_adapter_changes_the_answer(kind: str, bench: Workbench) -> None:
    """So that the tests above can tell them apart, and from the base."""
    adapter = bench.adapter(KINDS[kind])
    (ids,) = _ids(1)

    tokens, _ = bench.expected(adapter, ids)

    assert are_far(tokens, bench.expected(None, ids)[0], bench.dtype)


def test_rows_of_the_base_are_the_base(bench: Workbench) -> None:
    """To the bit."""
    ids = _ids(3)

    tokens, pooled = bench.plain(ids)
    batch = plan_batch([None] * 3, Workspace(CPU), GATHERING)
    with bench.cell.computing(batch):
        actual, actual_pooled = bench.model(ids)

    assert batch.kernel is Kernel.BASE
    assert torch.equal(tokens, actual)
    assert torch.equal(pooled, actual_pooled)


def test_outside_of_a_batch_modules_are_the_base(bench: Workbench) -> None:
    ids = _ids(2)

    assert torch.equal(bench.plain(ids)[0], bench.model(ids)[0])


def test_row_repeated_gets_the_same_answer_each_time(bench: Workbench) -> None:
    """Equal ids, equal adapter, wherever they stand."""
    one, other = (bench.adapter(KINDS["LoRA"], seed) for seed in (0, 1))
    ids = _ids(1).expand(5, -1).contiguous()

    tokens, _, _ = _compute(bench, [one, one, one, other, other], ids, GATHERING)

    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])
    assert torch.equal(tokens[3], tokens[4])
    assert not torch.equal(tokens[0], tokens[3])


@pytest.mark.parametrize("kind", ["LoRA", "words", "IA3"])
def test_module_that_gets_another_number_of_rows_raises(kind: str) -> None:
    """It would add rows' changes to something else."""
    bench = Workbench()
    adapter = bench.adapter(KINDS[kind])

    with pytest.raises(RuntimeError, match=r"(query|words|key) got 3 rows in a batch of 2: it can't be in the bank"):
        _compute(bench, [adapter, adapter], _ids(3), SEGMENTING)


def test_error_in_a_forward_leaves_nothing_behind() -> None:
    """The next forward is the base's, and the one after it is right."""
    bench = Workbench()
    adapter = bench.adapter(KINDS["LoRA"])
    ids = _ids(2)

    with pytest.raises(IndexError):
        _compute(bench, [adapter, adapter], ids + NUM_IDS, SEGMENTING)

    assert bench.cell.batch is None
    assert torch.equal(bench.plain(ids)[0], bench.model(ids)[0])
    _check(bench, [adapter, adapter], SEGMENTING)


def test_product_for_several_readers_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Query, key and value have one; `up`, which reads the same after `out` has read something else, its own."""
    bench = Workbench()
    rows = [bench.adapter(KINDS["LoRA"], seed) for seed in (0, 1)]

    bmm = Mock(wraps=torch.bmm)
    monkeypatch.setattr(torch, "bmm", bmm)

    _compute(bench, rows, _ids(2), GATHERING)

    # Two runs of four, and `pool`.
    assert 2 * 4 + 1 == bmm.call_count


def test_readers_of_different_tensors_share_no_product() -> None:
    """Though they shared one in the run that found the sites."""
    bench = Workbench()
    adapter = bench.adapter(dict.fromkeys(ATTENTION, low_rank()))
    rows = [adapter, adapter]
    one, other = torch.randn(2, 2, 3, bench.sites[1].in_features)

    with bench.cell.computing(plan_batch([row.content for row in rows], Workspace(CPU), SEGMENTING)):
        actual = [bench.model.query(one), bench.model.key(other), bench.model.value(one)]

    for name, x, values in zip(ATTENTION, (one, other, one), actual, strict=True):
        assert_near(bench.apply(adapter, name, x), values)


def test_several_axes_between_rows_and_features_are_like_one(bench: Workbench) -> None:
    """As in a model that attends within windows."""
    adapters = [bench.adapter(KINDS[kind]) for kind in ("DoRA", "IA3")]
    x = torch.randn(2, 3, 5, bench.by_name["value"].in_features).to(bench.dtype)

    for costs in COSTS.values():
        with bench.cell.computing(plan_batch([row.content for row in adapters], Workspace(CPU), costs)):
            actual = bench.model.value(x)

        for place, adapter in enumerate(adapters):
            assert_near(bench.apply(adapter, "value", x[place]), actual[place], bench.dtype)


def _check(bench: Workbench, rows: Sequence[Adapter | None], costs: KernelCosts) -> Kernel:
    """Compute rows (in order) together and compare each with the slow loop."""
    ids = _ids(len(rows))
    tokens, pooled, kernel = _compute(bench, rows, ids, costs)
    for place, row in enumerate(rows):
        expected_tokens, expected_pooled = bench.expected(row, ids[place])
        assert_near(expected_tokens, tokens[place], bench.dtype)
        assert_near(expected_pooled, pooled[place], bench.dtype)
    return kernel


def _compute(
    bench: Workbench, rows: Sequence[Adapter | None], ids: torch.Tensor, costs: KernelCosts
) -> tuple[torch.Tensor, torch.Tensor, Kernel]:
    batch = plan_batch([None if row is None else row.content for row in rows], Workspace(CPU), costs)
    with bench.cell.computing(batch):
        tokens, pooled = bench.model(ids)
    return tokens, pooled, batch.kernel


def _ids(num_rows: int) -> torch.Tensor:
    """[rows, tokens]"""
    return torch.randint(NUM_IDS, (num_rows, 6), generator=torch.Generator().manual_seed(num_rows))
