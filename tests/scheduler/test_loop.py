"""The scheduler with a runner of ours: how rows come in, and the four doors through which they leave."""

import asyncio
import gc
import weakref
from dataclasses import replace

import pytest

from adaptermux_server.errors import (
    AdapterUnloadedError,
    DeadlineExceededError,
    ShuttingDownError,
)
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import BatchPlan, BatchResult, Deadline, RowCounts
from tests.scheduler.engine import BANK, SETTINGS, Clock, FakeEngine, answer, make_row, until


async def test_rows_are_answered_with_their_own_values(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """And with what their batch cost and how long they waited for it."""
    rows = [make_row(num_tokens=3), make_row(num_tokens=5)]
    scheduler.submit(rows)
    clock.now += 0.5

    await engine.next_plan()
    engine.finish(seconds=0.02)

    answers = [await answer(row.future) for row in rows]
    assert [[3.0], [5.0]] == [list(one.values) for one in answers]
    assert (2, 0.02) == (len(answers[0].batch.rows), answers[0].batch.compute_seconds)
    assert 0.5 == answers[0].queue_seconds
    assert RowCounts(accepted=2, answered=2) == scheduler.status().rows


async def test_the_next_batch_begins_as_soon_as_the_engine_is_free(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Rows that came meanwhile are in it."""
    scheduler.submit([make_row()])
    await engine.next_plan()
    late = [make_row(), make_row()]
    scheduler.submit(late)

    engine.finish()

    assert tuple(late) == (await engine.next_plan()).rows


async def test_a_failing_batch_fails_its_rows_alone(scheduler: Scheduler, engine: FakeEngine) -> None:
    """They get what the runner raised; the next batch is served."""
    bad, good = make_row(slot=1), make_row(slot=2)
    scheduler.submit([bad])
    scheduler.submit([good])
    error = RuntimeError("boom")

    await engine.next_plan()
    engine.fail(error)
    await engine.next_plan()
    engine.finish()

    await answer(good.future)
    assert error is bad.future.exception()
    assert RowCounts(accepted=2, answered=1, failed=1) == scheduler.status().rows


async def test_computing_uses_up_a_turn(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """What the engine says that a batch took counts, for the lane of the batch."""
    scheduler.submit([make_row(slot=1) for _ in range(6)])
    scheduler.submit([make_row(slot=2)])
    await engine.next_plan()
    clock.now += 10.0

    engine.finish(seconds=10.0)

    assert [2] == [row.slot for row in (await engine.next_plan()).rows]


async def test_failing_batches_use_up_a_turn(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """An adapter that breaks in the engine can't keep it from the others."""
    scheduler.submit([make_row(slot=1) for _ in range(6)])
    scheduler.submit([make_row(slot=2)])
    await engine.next_plan()
    clock.now += 10.0

    engine.fail(RuntimeError("boom"))

    assert [2] == [row.slot for row in (await engine.next_plan()).rows]


async def test_failing_batches_of_the_bank_use_up_its_turn(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """Whichever of its slots were in them."""
    scheduler.submit([make_row(slot=slot) for slot in (*BANK, *BANK, *BANK)])
    scheduler.submit([make_row(slot=2)])
    await engine.next_plan()
    clock.now += 10.0

    for _ in ("together", *BANK):
        engine.fail(RuntimeError("boom"))
        plan = await engine.next_plan()

    assert [2] == [row.slot for row in plan.rows]


async def test_an_engine_that_returns_too_few_values_fails_the_batch(clock: Clock) -> None:
    """Rather than to answer one row with another's values."""
    engine = FakeEngine()

    async def forgetful(plan: BatchPlan) -> BatchResult:
        result = await engine.run(plan)
        return replace(result, values=result.values[1:])

    scheduler = Scheduler(forgetful, SETTINGS, clock)
    await scheduler.start()
    rows = [make_row(), make_row()]
    scheduler.submit(rows)
    await engine.next_plan()
    engine.finish()

    for row in rows:
        with pytest.raises(ValueError, match="2 rows were asked for and 1 came"):
            await answer(row.future)
    await scheduler.close()


async def test_cancelling_a_waiting_row_frees_its_place_and_costs_no_forward(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """The rows around it stay in order."""
    scheduler.submit([make_row(slot=1)])
    await engine.next_plan()
    first, cancelled, last = (make_row(slot=2) for _ in range(3))
    scheduler.submit([first, cancelled, last])

    cancelled.future.cancel()
    await until(lambda: scheduler.status().rows.cancelled == 1)

    assert scheduler.status().num_rows_queued == 2
    engine.finish()
    assert (first, last) == (await engine.next_plan()).rows


async def test_a_row_cancelled_at_the_last_moment_is_not_computed(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Its future is cancelled, and the scheduler picks before it hears of it."""
    row = make_row()
    scheduler.submit([row])
    row.future.cancel()

    await until(lambda: scheduler.status().rows.cancelled == 1)

    assert [] == engine.plans


async def test_a_row_cancelled_while_computed_leaves_the_others_their_answers(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """It counts as cancelled."""
    cancelled, other = make_row(), make_row(num_tokens=9)
    scheduler.submit([cancelled, other])
    await engine.next_plan()

    cancelled.future.cancel()
    engine.finish()

    assert [9.0] == list((await answer(other.future)).values)
    assert RowCounts(accepted=2, answered=1, cancelled=1) == scheduler.status().rows


async def test_rows_whose_deadline_passes_in_the_queue_expire_without_a_forward(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """They are told so when the engine is free again."""
    scheduler.submit([make_row(slot=1)])
    await engine.next_plan()
    row = make_row(slot=2, deadline=Deadline(clock.now + 1.0))
    scheduler.submit([row])
    clock.now += 2.0

    engine.finish()

    with pytest.raises(DeadlineExceededError):
        await answer(row.future)
    assert len(engine.plans) == 1


async def test_a_deadline_that_cannot_be_met_expires_at_once(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """A millisecond is less than a traversal and a batch."""
    row = make_row(deadline=Deadline(clock.now + 0.001))
    scheduler.submit([row])

    with pytest.raises(DeadlineExceededError):
        await answer(row.future)
    assert [] == engine.plans
    assert RowCounts(accepted=1, expired=1) == scheduler.status().rows


async def test_failing_a_slot_fails_what_waits_and_not_what_is_computed(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """Nor other slots."""
    computed, waiting, other = make_row(slot=1), make_row(slot=1), make_row(slot=2)
    scheduler.submit([computed])
    await engine.next_plan()
    scheduler.submit([waiting, other])
    error = AdapterUnloadedError("a")

    assert 1 == scheduler.fail_slot(1, error)

    engine.finish()
    await engine.next_plan()
    engine.finish()
    await answer(computed.future)
    await answer(other.future)
    assert error is waiting.future.exception()
    assert 0 == scheduler.fail_slot(1, error)


async def test_failing_a_slot_of_the_bank_leaves_its_neighbours_in_the_lane(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """They are served as if it had never been there."""
    scheduler.submit([make_row()])
    await engine.next_plan()
    rows = [make_row(slot=slot) for slot in (*BANK, *BANK)]
    scheduler.submit(rows)

    assert 2 == scheduler.fail_slot(BANK[0], AdapterUnloadedError("a"))

    engine.finish()
    assert (rows[1], rows[3]) == (await engine.next_plan()).rows
    assert [True, False, True, False] == [row.future.done() for row in rows]


async def test_a_drain_finishes_what_is_there_and_refuses_more(scheduler: Scheduler, engine: FakeEngine) -> None:
    """It returns when the last row has left."""
    computed, waiting = make_row(slot=1), make_row(slot=2)
    scheduler.submit([computed, waiting])
    await engine.next_plan()

    draining = asyncio.create_task(scheduler.drain(timeout_seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDownError):
        scheduler.submit([make_row()])
    engine.finish()
    await engine.next_plan()
    assert not draining.done()
    engine.finish()

    await draining
    assert RowCounts(accepted=2, answered=2) == scheduler.status().rows


async def test_a_drain_out_of_time_fails_what_still_waits(scheduler: Scheduler, engine: FakeEngine) -> None:
    """The batch under way is left to its end."""
    computed, waiting = make_row(slot=1), make_row(slot=2)
    scheduler.submit([computed, waiting])
    await engine.next_plan()

    await scheduler.drain(timeout_seconds=0)
    engine.finish()

    with pytest.raises(ShuttingDownError):
        await answer(waiting.future)
    await answer(computed.future)


async def test_closing_leaves_nobody_waiting(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Neither computed nor queued rows; closing again does nothing."""
    computed, waiting = make_row(slot=1), make_row(slot=2)
    scheduler.submit([computed, waiting])
    await engine.next_plan()

    await scheduler.close()
    await scheduler.close()

    for row in (computed, waiting):
        with pytest.raises(ShuttingDownError):
            await answer(row.future)


async def test_a_cancelled_row_leaves_nothing_behind(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Though a row before it and one after it still wait."""
    scheduler.submit([make_row(slot=1)])
    await engine.next_plan()
    row = make_row(slot=2, deadline=Deadline(1e9))
    future = weakref.ref(row.future)
    scheduler.submit([make_row(slot=2), row, make_row(slot=2)])

    row.future.cancel()
    await until(lambda: scheduler.status().rows.cancelled == 1)
    del row
    gc.collect()

    assert future() is None
