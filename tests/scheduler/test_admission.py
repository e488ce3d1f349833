"""Who is refused since there is no room, or no time, and what they are told."""

from dataclasses import replace

import pytest

from adaptermux_server.errors import DeadlineExceededError, QueueFullError, ShuttingDownError
from adaptermux_server.scheduler.admission import Demand
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import Deadline, ExecutorKind, Row, RowCounts
from tests.scheduler.engine import BANK, Clock, FakeEngine, answer, make_row, until


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


async def crowd(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> list[Row]:
    """Let the scheduler learn that a batch takes 0.1 s; returns five rows of slot 11 that wait behind one of those."""
    for _ in range(20):
        scheduler.submit([make_row(slot=BANK[0])])
        await engine.next_plan()
        clock.now += 0.1
        engine.finish(0.1)
        await until(lambda: scheduler.status().rows.answered == len(engine.plans))
    scheduler.submit([make_row(slot=BANK[0])])
    await engine.next_plan()
    rows = [make_row(slot=BANK[0]) for _ in range(5)]
    scheduler.submit(rows)
    return rows


async def test_rows_that_cannot_be_in_time_are_refused_at_once(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """They learn what the wait is and when to come back, take no place, and count as rejected."""
    await crowd(scheduler, engine, clock)
    before, num_plans = scheduler.status(), len(engine.plans)
    row = make_row(slot=BANK[0], deadline=Deadline(clock.now + 0.15))

    with pytest.raises(DeadlineExceededError, match=r"would take some 0\.\d s.*retry after 0\.\d s") as failure:
        scheduler.submit([row])

    assert failure.value.retry_seconds is not None
    assert 0.1 <= failure.value.retry_seconds < 1.0
    assert replace(before.rows, rejected=1) == scheduler.status().rows
    assert before.queues == scheduler.status().queues
    assert (num_plans, False) == (len(engine.plans), row.future.done())


async def test_other_slots_and_more_patient_callers_are_let_in(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """A slot without a backlog doesn't wait for another's, though it shares the lane."""
    await crowd(scheduler, engine, clock)

    scheduler.submit([make_row(slot=BANK[1], deadline=Deadline(clock.now + 0.25))])
    scheduler.submit([make_row(slot=BANK[0], deadline=Deadline(clock.now + 60.0))])

    assert 7 == scheduler.status().num_rows_queued


async def test_whoever_cancels_makes_time_for_others(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """At once."""
    waiting = await crowd(scheduler, engine, clock)
    deadline = Deadline(clock.now + 0.25)
    with pytest.raises(DeadlineExceededError):
        scheduler.submit([make_row(slot=BANK[0], deadline=deadline)])

    for row in waiting[1:]:
        row.future.cancel()
    await until(lambda: scheduler.status().rows.cancelled == 4)

    scheduler.submit([make_row(slot=BANK[0], deadline=deadline)])


async def test_a_check_tells_what_a_submit_would(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """Before there are rows; it takes no place."""
    await crowd(scheduler, engine, clock)

    with pytest.raises(DeadlineExceededError):
        scheduler.check({BANK[0]: Demand.at_least(1)}, Deadline(clock.now + 0.15))
    with pytest.raises(QueueFullError, match="adapter 'bank-11'"):
        scheduler.check({BANK[0]: Demand.at_least(2)}, Deadline())
    with pytest.raises(QueueFullError, match="the server's queue"):
        scheduler.check({None: Demand.at_least(9)}, Deadline())
    scheduler.check({None: Demand.at_least(5)}, Deadline(clock.now + 0.15))
    await scheduler.drain(timeout_seconds=0)
    with pytest.raises(ShuttingDownError):
        scheduler.check({}, Deadline())


async def test_rows_dropped_for_a_full_batch_learn_when_to_retry(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """A batch of their own would be in time, and a full one not: of four rows, two are within their slot's share."""
    await crowd(scheduler, engine, clock)
    deadline = Deadline(clock.now + 0.6)
    rows = [make_row(slot=BANK[1], deadline=deadline) for _ in range(4)]
    scheduler.submit(rows)
    clock.now += 0.49

    engine.finish(0.1)
    await engine.next_plan()

    for row in rows[:2]:
        with pytest.raises(DeadlineExceededError, match="retry after") as failure:
            await answer(row.future)
        assert failure.value.retry_seconds is not None
    assert [False, False] == [row.future.done() for row in rows[2:]]


async def test_a_row_that_is_late_by_itself_is_not_told_to_retry(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """Nobody else is the reason, so it would be late again."""
    row = make_row(deadline=Deadline(clock.now + 0.0001))
    scheduler.submit([row])

    with pytest.raises(DeadlineExceededError) as failure:
        await answer(row.future)

    assert failure.value.retry_seconds is None
