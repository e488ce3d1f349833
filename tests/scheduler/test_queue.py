"""The queues: lanes, order, cancellation, sums, deadlines, and that nothing stays behind."""

import gc
import weakref
from collections.abc import Iterable

import pytest

from adaptermux_server.scheduler.packing import BatchLimits
from adaptermux_server.scheduler.queue import Queues
from adaptermux_server.scheduler.shares import Shares
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind
from tests.scheduler.rows import FakeRow, costs

LIMITS = BatchLimits(max_rows=32, max_tokens=4096)


class TrackedRow(FakeRow):
    """A row whose end can be seen."""


def queued(*rows: FakeRow, bank: Iterable[int] = ()) -> Queues[FakeRow]:
    shares = Shares(max_wait_seconds=1.0)
    for slot in bank:
        shares.configure(slot, 1.0, None, ExecutorKind.BANK)
    queues: Queues[FakeRow] = Queues(shares)
    for row in rows:
        queues.append(row, now=3.0)
    return queues


def test_rows_leave_in_the_order_of_their_arrival() -> None:
    """Each slot by itself."""
    first, other, second = FakeRow(1), FakeRow(2), FakeRow(1)
    queues = queued(first, other, second)

    assert (first, second) == queues.take(1, 2)
    assert (other,) == queues.take_slot(2)
    assert () == queues.take_slot(2)


def test_append_notes_the_time() -> None:
    """The wait counts from there."""
    row = FakeRow(1)

    queued(row)

    assert row.enqueued_at == 3.0


def test_discard_frees_a_place_anywhere_in_the_queue() -> None:
    """And only once."""
    head, middle, last = FakeRow(1), FakeRow(1, num_tokens=7), FakeRow(1)
    queues = queued(head, middle, last)

    assert queues.discard(middle)
    assert not queues.discard(middle)
    assert (head, last) == tuple(queues[1].slots[1])
    assert (2, 20) == (queues.num_rows, queues.num_tokens)


def test_sums_follow_every_way_out() -> None:
    """Rows and tokens that wait are counted; empty queues are forgotten."""
    rows = [FakeRow(1, 5), FakeRow(1, 6), FakeRow(2, 7, Deadline(1.0)), FakeRow(3, 8)]
    queues = queued(*rows)
    assert (4, 26) == (queues.num_rows, queues.num_tokens)

    queues.take(1, 1)
    queues.pop_late(2, 2.0, costs(), LIMITS)
    queues.discard(rows[3])

    assert (1, 6) == (queues.num_rows, queues.num_tokens)
    assert [1] == list(queues)
    assert (1, 0) == (queues.depth(1), queues.depth(2))


def test_late_rows_are_those_for_which_an_empty_batch_would_end_too_late() -> None:
    """Wherever they stand; others keep their order."""
    late, none, soon, far = (FakeRow(1, deadline=Deadline(at)) for at in (1.0, float("inf"), 2.0, 3.0))
    queues = queued(none, soon, late, far)

    assert queues[1].slots[1].earliest_deadline == 1.0
    assert [late, soon] == queues.pop_late(1, 2.5, costs(), LIMITS)
    assert (none, far) == tuple(queues[1])
    assert queues[1].slots[1].earliest_deadline == 3.0


def test_the_first_rows_of_a_slot_are_late_where_their_own_batch_would_be() -> None:
    """A longer row than its deadline allows is found once it comes first."""
    ends_at = costs().batch(50)
    hopeless, later = FakeRow(1, 100, Deadline(ends_at)), FakeRow(1, 100, Deadline(ends_at))
    met = FakeRow(1, 50, Deadline(ends_at))
    queues = queued(hopeless, met, later)

    assert [hopeless] == queues.pop_late(1, 0.0, costs(), LIMITS)
    assert (met, later) == tuple(queues[1])


def test_cancelled_rows_with_deadlines_leave_nothing_behind() -> None:
    """Though one row stays, so that the queue itself does."""
    queues = queued(FakeRow(1, deadline=Deadline(1e9)))
    ends = []
    for _ in range(1000):
        row = TrackedRow(1, deadline=Deadline(1e6))
        ends.append(weakref.ref(row))
        queues.append(row, 0.0)
        queues.discard(row)
    del row
    gc.collect()

    assert not any(end() for end in ends)
    assert len(queues[1].slots[1]._deadlines) < 20


def test_a_lane_without_rows_has_no_queue() -> None:
    """Asking for it is a bug."""
    queues = queued()

    assert 1 not in queues
    with pytest.raises(KeyError):
        queues[1]


def test_slots_in_the_bank_and_the_base_share_a_lane() -> None:
    """Any other slot has one of its own; each slot's depth is told all the same."""
    queues = queued(*map(FakeRow, (1, 2, 1, BASE_SLOT, 3, 4)), bank=(1, 2))

    assert [BASE_SLOT, 3, 4] == list(queues)
    assert {1: 2, 2: 1, BASE_SLOT: 1, 3: 1, 4: 1} == {slot: len(queue) for slot, queue in queues.slots()}
    assert (2, 1, 0) == (queues.depth(1), queues.depth(3), queues.depth(9))


def test_taking_a_slot_leaves_its_neighbours_in_the_lane() -> None:
    """All its rows, in their order."""
    first, other, second = FakeRow(1), FakeRow(2), FakeRow(1)
    queues = queued(first, other, second, bank=(1, 2))

    assert (first, second) == queues.take_slot(1)
    assert (other,) == tuple(queues[BASE_SLOT])
    assert (0, 1, 1) == (queues.depth(1), queues.depth(2), queues.num_rows)


def test_a_slot_changes_its_lane_only_when_none_of_its_rows_waits() -> None:
    """Or its rows would stand in two, and cancelling would look in the wrong one."""
    shares = Shares(max_wait_seconds=1.0)
    queues: Queues[FakeRow] = Queues(shares)
    early, late = FakeRow(1), FakeRow(1)
    queues.append(early, now=0.0)
    shares.configure(1, 1.0, None, ExecutorKind.BANK)
    queues.append(late, now=0.0)
    assert [1] == list(queues)

    queues.discard(early)
    queues.discard(late)
    queues.append(FakeRow(1), now=0.0)

    assert [BASE_SLOT] == list(queues)
