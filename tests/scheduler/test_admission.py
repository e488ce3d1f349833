"""Who is refused when the queue is full, and what they are told."""

import pytest

from adaptermux_server.errors import QueueFullError
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import ExecutorKind, RowCounts
from tests.scheduler.engine import BANK, Clock, FakeEngine, make_row


async def test_a_full_queue_takes_all_rows_of_a_call_or_none(scheduler: Scheduler) -> None:
    """The error says whose limit it was and when to come back."""
    scheduler.submit([make_row(slot=slot) for slot in (1, 1, 1, 1, 2, 2, 2, 2)])

    with pytest.raises(QueueFullError, match=r"the server's queue is full \(limit 10 rows") as failure:
        scheduler.submit([make_row(slot=3) for _ in range(3)])

    assert failure.value.retry_seconds is not None
    assert failure.value.retry_seconds > 0
    assert RowCounts(accepted=8, rejected=3) == scheduler.status().rows


async def test_an_adapter_can_fill_only_its_share(scheduler: Scheduler) -> None:
    """Others are still taken; the error names it by its label."""
    scheduler.configure_slot(1, label="sentiment", executor=ExecutorKind.SWITCH)
    scheduler.submit([make_row(slot=1) for _ in range(5)])

    with pytest.raises(QueueFullError, match=r"the queue of adapter 'sentiment' is full \(limit 6 rows"):
        scheduler.submit([make_row(slot=2), make_row(slot=1), make_row(slot=1)])
    scheduler.submit([make_row(slot=2)])

    assert 6 == scheduler.status().num_rows_queued


async def test_an_adapter_in_the_bank_can_fill_only_its_share(scheduler: Scheduler) -> None:
    """Though it shares a lane with others, who are still taken."""
    scheduler.submit([make_row(slot=BANK[0]) for _ in range(6)])

    with pytest.raises(QueueFullError, match=r"the queue of adapter 'bank-11' is full \(limit 6 rows"):
        scheduler.submit([make_row(slot=BANK[0])])
    scheduler.submit([make_row(slot=BANK[1])])

    assert 7 == scheduler.status().num_rows_queued


async def test_the_time_to_retry_grows_with_the_backlog(engine: FakeEngine, clock: Clock) -> None:
    """As far as the costs suggest."""

    def retry_seconds(depth: int) -> float:
        full = SchedulerSettings(max_batch_rows=1, max_queued_rows=depth, max_queued_rows_per_adapter=depth)
        scheduler = Scheduler(engine.run, full, clock)
        scheduler.submit([make_row() for _ in range(depth)])
        with pytest.raises(QueueFullError) as failure:
            scheduler.submit([make_row() for _ in range(depth)])
        assert failure.value.retry_seconds is not None
        return failure.value.retry_seconds

    assert 5 * retry_seconds(200) < retry_seconds(2000)
