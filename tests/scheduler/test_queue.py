"""The queues: order, cancellation, sums, deadlines, and that nothing stays behind."""

import gc
import weakref

import pytest

from adaptermux_server.scheduler.queue import Queues
from adaptermux_server.types import Deadline
from tests.scheduler.rows import FakeRow


class TrackedRow(FakeRow):
    """A row whose end can be seen."""


def queued(*rows: FakeRow) -> Queues[FakeRow]:
    queues: Queues[FakeRow] = Queues()
    for row in rows:
        queues.append(row, now=3.0)
    return queues


def test_rows_leave_in_the_order_of_their_arrival() -> None:
    """Each slot by itself."""
    first, other, second = FakeRow(1), FakeRow(2), FakeRow(1)
    queues = queued(first, other, second)

    assert (first, second) == queues.take(1, 2)
    assert (other,) == queues.take_all(2)
    assert () == queues.take_all(2)


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
    assert (head, last) == tuple(queues[1])
    assert (2, 20) == (queues.num_rows, queues.num_tokens)


def test_sums_follow_every_way_out() -> None:
    """Rows and tokens that wait are counted; empty queues are forgotten."""
    rows = [FakeRow(1, 5), FakeRow(1, 6), FakeRow(2, 7, Deadline(1.0)), FakeRow(3, 8)]
    queues = queued(*rows)
    assert (4, 26) == (queues.num_rows, queues.num_tokens)

    queues.take(1, 1)
    queues.pop_expired(2, horizon=2.0)
    queues.discard(rows[3])

    assert (1, 6) == (queues.num_rows, queues.num_tokens)
    assert [1] == list(queues)
    assert (1, 0) == (queues.depth(1), queues.depth(2))


def test_expired_rows_are_those_with_a_deadline_before_the_horizon() -> None:
    """Wherever they stand; others keep their order."""
    late, none, soon, far = (FakeRow(1, deadline=Deadline(at)) for at in (1.0, float("inf"), 2.0, 3.0))
    queues = queued(none, soon, late, far)

    assert queues[1].earliest_deadline == 1.0
    assert [late, soon] == queues.pop_expired(1, horizon=3.0)
    assert (none, far) == tuple(queues[1])
    assert queues[1].earliest_deadline == 3.0


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
    assert len(queues[1]._deadlines) < 20


def test_a_slot_without_rows_has_no_queue() -> None:
    """Asking for it is a bug."""
    queues = queued()

    assert 1 not in queues
    with pytest.raises(KeyError):
        queues[1]
