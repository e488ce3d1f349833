"""The plan of one forward: whose rows, in which order, by which products."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.engine.bank.batch import BankBatch, Block, order_rows, plan_batch
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.layout import SiteWeights
from adaptermux_server.engine.bank.workspace import Workspace
from adaptermux_server.engine.forms import LowRank
from adaptermux_server.types import Kernel
from tests.engine.bank.made_up import GATHERING, LINEAR, SEGMENTING, Workbench, low_rank

BENCH = Workbench()
CPU = torch.device("cpu")
FLOAT_BYTES = 4

# `a`, `b` and `c` have one layout, `x` and `y` another, `w` adds to embeddings alone; `.` is the base.
ALIKE = dict.fromkeys(("query", "out"), low_rank(4))
CONTENTS: dict[str, BankContent | None] = {
    ".": None,
    **{name: BENCH.adapter(ALIKE, seed).content for seed, name in enumerate("abc")},
    **{name: BENCH.adapter(dict.fromkeys(LINEAR, low_rank(2)), seed).content for seed, name in enumerate("xy")},
    "w": BENCH.adapter({"words": LowRank(2, 1.0, is_embedding=True)}).content,
}
NAMES = {id(content): name for name, content in CONTENTS.items()}
SLOTS = {name: slot for slot, name in enumerate(CONTENTS)}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("", []),
        ("...", []),
        ("a", [("a", 0, 1)]),
        ("aaa", [("a", 0, 3)]),
        ("aab", [("a", 0, 2), ("b", 2, 3)]),
        ("aba", [("a", 0, 1), ("b", 1, 2), ("a", 2, 3)]),
        (".a.bb.", [("a", 1, 2), ("b", 3, 5)]),
        ("axa", [("a", 0, 1), ("x", 1, 2), ("a", 2, 3)]),
        ("aw.x", [("a", 0, 1), ("x", 3, 4)]),
    ],
    ids=["none", "base", "single", "of one", "of two", "interleaved", "base between", "two layouts", "embedding"],
)
def test_segments_are_the_runs_of_rows_of_one_adapter(rows: str, expected: list[tuple[str, int, int]]) -> None:
    """Rows of the base, and of adapters of embeddings, are in none."""
    batch = _plan(rows, SEGMENTING)

    assert expected == [(_owner(block), block.start, block.stop) for block in batch.blocks]
    assert len(rows) == batch.num_rows
    assert not any(block.is_gathered for block in batch.blocks)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("..", []),
        ("aaa", [(0, 3, False)]),
        ("aabc", [(0, 4, True)]),
        (".abxy", [(1, 3, True), (3, 5, True)]),
        (".abxx", [(1, 3, True), (3, 5, False)]),
    ],
    ids=["base", "of one", "of three", "two layouts", "two layouts, one of them of one"],
)
def test_rows_of_one_layout_are_gathered_where_that_costs_less(
    rows: str, expected: list[tuple[int, int, bool]]
) -> None:
    """Unless they are all of one adapter, whose weights can be read where they are."""
    batch = _plan(rows, GATHERING)

    assert expected == [(block.start, block.stop, block.is_gathered) for block in batch.blocks]


@pytest.mark.parametrize(
    ("rows", "costs", "expected"),
    [
        ("", GATHERING, Kernel.BASE),
        ("..", GATHERING, Kernel.BASE),
        (".aaa", GATHERING, Kernel.UNIFORM),
        ("w", GATHERING, Kernel.UNIFORM),
        ("ab", GATHERING, Kernel.GATHERED),
        ("ab", SEGMENTING, Kernel.SEGMENTS),
        ("ax", GATHERING, Kernel.SEGMENTS),
        ("abx", GATHERING, Kernel.GATHERED),
    ],
)
def test_kernel_says_how_a_batch_is_computed(rows: str, costs: KernelCosts, expected: Kernel) -> None:
    assert expected is _plan(rows, costs).kernel


def test_where_the_room_ends_segments_begin() -> None:
    """Of two layouts, what comes first is gathered."""
    room = 2 * _content("a").layout.size * FLOAT_BYTES

    batch = _plan("abxy", GATHERING, Workspace(CPU, room))

    assert [(0, 2, True), (2, 3, False), (3, 4, False)] == [
        (block.start, block.stop, block.is_gathered) for block in batch.blocks
    ]
    assert Kernel.GATHERED is batch.kernel


def test_weights_of_a_block_are_its_adapters_own() -> None:
    """Row by row where they are gathered."""
    (alone,) = _plan(".aa", GATHERING).blocks
    (gathered,) = _plan(".abb", GATHERING).blocks
    index = BENCH.by_name["query"].index
    expected = {name: _content(name).views[index] for name in "ab"}

    assert torch.equal(_b(expected["a"]), _b(alone.views[index]))
    assert torch.equal(torch.stack([_b(expected[name]) for name in "abb"]), _b(gathered.views[index]))


@pytest.mark.parametrize("costs", [GATHERING, SEGMENTING], ids=["gathering", "segmenting"])
def test_lone_adapters_weights_are_read_where_they_are(costs: KernelCosts) -> None:
    """By the very views that its content keeps: nothing is copied, and none are made."""
    workspace = Workspace(CPU)

    (block,) = _plan("xx", costs, workspace).blocks

    assert block.views is _content("x").views
    assert 0 == workspace.num_bytes


def test_site_sees_the_blocks_that_change_it() -> None:
    batch = _plan("a.x", SEGMENTING)
    a, x = batch.blocks
    seen = {name: [block for block, _ in batch.at(BENCH.by_name[name].index)] for name in ("out", "down", "words")}

    assert {"out": [a, x], "down": [x], "words": []} == seen


def test_tables_are_the_segments_of_adapters_of_embeddings() -> None:
    batch = _plan("a.wwx", GATHERING)

    assert [("w", 2, 4, 2)] == [
        (NAMES[id(table.content)], table.start, table.stop, table.num_rows) for table in batch.tables
    ]


@given(st.lists(st.sampled_from(sorted(CONTENTS))))
def test_order_brings_layouts_and_slots_together(rows: list[str]) -> None:
    """Each row once; those of a slot as they came."""
    order = order_rows([SLOTS[name] for name in rows], [CONTENTS[name] for name in rows])
    ordered = [rows[position] for position in order]

    assert sorted(order) == list(range(len(rows)))
    assert _num_runs(ordered) == len(set(rows))
    assert _num_runs([_layout(name) for name in ordered]) == len({_layout(name) for name in rows})
    for name in set(rows):
        positions = [position for position in order if rows[position] == name]
        assert positions == sorted(positions)


def _plan(rows: str, costs: KernelCosts, workspace: Workspace | None = None) -> BankBatch:
    return plan_batch([CONTENTS[name] for name in rows], workspace or Workspace(CPU), costs)


def _content(name: str) -> BankContent:
    content = CONTENTS[name]
    assert content is not None
    return content


def _owner(block: Block) -> str:
    """By the memory that the block's weights lie in."""
    return next(name for name, content in CONTENTS.items() if content and content.flat.data_ptr() == _memory(block))


def _memory(block: Block) -> int:
    return next(_b(weights) for weights in block.views if weights).untyped_storage().data_ptr()


def _b(weights: SiteWeights | None) -> torch.Tensor:
    assert weights is not None
    assert weights.b is not None
    return weights.b


def _layout(name: str) -> object:
    content = CONTENTS[name]
    return content and id(content.layout)


def _num_runs(values: Sequence[object]) -> int:
    return sum(index == 0 or values[index - 1] != value for index, value in enumerate(values))
