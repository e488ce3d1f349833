"""The memory for gathered weights, used again and again."""

from collections.abc import Sequence
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.engine.bank.content import DTYPE, BankContent, make_blank
from adaptermux_server.engine.bank.layout import Layouts, Views
from adaptermux_server.engine.bank.workspace import Workspace
from tests.engine.bank.made_up import LINEAR, MadeUp, low_rank, make_sites

CPU = torch.device("cpu")
SITES = make_sites(MadeUp())
LAYOUTS = Layouts(SITES)
# Three sizes, so that what lies at an offset overlaps what lay around it before.
KINDS = (
    dict.fromkeys(("query",), low_rank(2)),
    dict.fromkeys(("out", "up"), low_rank(3)),
    dict.fromkeys(LINEAR, low_rank(4)),
)


def _content(kind: int, value: float) -> BankContent:
    """All of whose weights are the value."""
    content = make_blank(LAYOUTS, KINDS[kind], CPU)
    content.flat.fill_(value)
    return content


POOL = [_content(kind, 10.0 * kind + number) for kind in range(len(KINDS)) for number in range(3)]
SIZE = POOL[0].layout.size
SIZE_BYTES = SIZE * DTYPE.itemsize


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts copies."""
    counting = Mock(wraps=torch.stack)
    monkeypatch.setattr(torch, "stack", counting)
    return counting


def test_each_row_gets_its_adapters_weights() -> None:
    a, b, _ = POOL[:3]

    views = Workspace(CPU).gather([a, b, a])

    _assert_gathered([a, b, a], views)


def test_same_rows_are_not_copied_again(stack: Mock) -> None:
    """Traffic that repeats costs nothing; in another order they are others."""
    workspace = Workspace(CPU)
    a, b, _ = POOL[:3]

    for rows in ([a, b], [a, b], [a, b], [b, a], [b, a]):
        workspace.begin()
        _assert_gathered(rows, workspace.gather(rows))

    assert 2 == stack.call_count


def test_rows_written_over_are_copied_again(stack: Mock) -> None:
    """Also where only their end was, by rows that begin before them."""
    workspace = Workspace(CPU)
    a, b, c = POOL[:3]
    long = [a, b, c]

    for batch in ([[a], [b, c]], [long], [[a], [b, c]]):
        workspace.begin()
        gathered = [workspace.gather(rows) for rows in batch]
        for rows, views in zip(batch, gathered, strict=True):
            _assert_gathered(rows, views)

    assert 5 == stack.call_count


def test_memory_grows_to_what_a_batch_needs_and_stays() -> None:
    workspace = Workspace(CPU)
    sizes = [workspace.num_bytes]

    for num_rows in (4, 1, 4, 5, 2):
        workspace.begin()
        workspace.gather([POOL[0]] * num_rows)
        sizes.append(workspace.num_bytes)

    assert [0, 4, 4, 4, 8, 8] == [size // SIZE_BYTES for size in sizes]


def test_rows_are_right_after_memory_has_grown() -> None:
    """Both those that lay there before and those at a place that was used before; as what was handed out stays."""
    workspace = Workspace(CPU)
    a, b, c = POOL[:3]

    for batch in ([[a, b]], [[a, b], [c] * 6], [[a, b]], [[b, c]]):
        workspace.begin()
        gathered = [workspace.gather(rows) for rows in batch]
        for rows, views in zip(batch, gathered, strict=True):
            _assert_gathered(rows, views)


def test_room_is_what_the_batch_has_left_of_the_limit() -> None:
    """And whole again for the next batch; memory never grows beyond it."""
    workspace = Workspace(CPU, 3 * SIZE_BYTES)
    layout = POOL[0].layout

    assert workspace.has_room(layout, 3)
    assert not workspace.has_room(layout, 4)
    workspace.gather(POOL[:2])
    assert workspace.has_room(layout, 1)
    assert not workspace.has_room(layout, 2)
    workspace.gather(POOL[:1])
    assert not workspace.has_room(layout, 1)
    workspace.begin()
    assert workspace.has_room(layout, 3)
    assert 3 * SIZE_BYTES == workspace.num_bytes


def test_forgotten_adapter_is_let_go() -> None:
    """No view and no note of it keeps its memory; its copies are used by nobody."""
    workspace = Workspace(CPU)
    a, b = _content(0, 1.0), _content(0, 2.0)
    workspace.gather([a, b])
    workspace.gather([b])

    workspace.forget(b)
    b.poison()
    workspace.begin()

    assert not workspace._held
    _assert_gathered([a, b], workspace.gather([a, b]))


PICKS = st.tuples(st.integers(0, len(KINDS) - 1), st.lists(st.integers(0, 2), min_size=1, max_size=4))
FREED = st.sets(st.integers(0, len(POOL) - 1), max_size=2)


@given(st.lists(st.tuples(st.lists(PICKS, max_size=4), FREED), max_size=6), st.integers(0, 100 * SIZE_BYTES))
def test_ranges_never_mix(batches: list[tuple[list[tuple[int, list[int]]], set[int]]], limit: int) -> None:
    """Whatever was gathered and freed before: at a batch's end all its rows have the right weights."""
    workspace = Workspace(CPU, limit)
    pool = list(POOL)
    for number, (batch, freed) in enumerate(batches):
        workspace.begin()
        wanted = [[pool[3 * kind + place] for place in places] for kind, places in batch]
        taken = [(rows, workspace.gather(rows)) for rows in wanted if workspace.has_room(rows[0].layout, len(rows))]

        for rows, views in taken:
            _assert_gathered(rows, views)
        assert workspace.num_bytes <= limit
        for index in freed:
            workspace.forget(pool[index])
            pool[index] = _content(index // 3, 1000.0 * (number + 1) + index)


def _assert_gathered(rows: Sequence[BankContent], views: Views) -> None:
    """Each row of each part is of its adapter. (No `stack`, which is counted.)"""
    parts = [_parts(row.views) for row in rows]

    assert all(
        torch.equal(torch.cat([one[None] for one in own]), part)
        for *own, part in zip(*parts, _parts(views), strict=True)
    )


def _parts(views: Views) -> list[torch.Tensor]:
    """All A's and B's; NaN, which equals nothing, as a number."""
    parts = [part for weights in views if weights for part in (weights.a, weights.b)]
    return [part.nan_to_num(-1.0) for part in parts if part is not None]
