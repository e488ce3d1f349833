"""The log of the last forwards, and those who watch it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

import pytest

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.recorder import BatchRecorder, Recorded, failed_record, record_of
from adaptermux_server.types import BatchPlan, BatchRecord, BatchResult, Kernel, RowRecord
from tests.scheduler.engine import Clock, FakeEngine, answer, make_row

T = TypeVar("T")
_LOG_SIZE = 4


@pytest.fixture
def recorder() -> BatchRecorder:
    return BatchRecorder(_LOG_SIZE)


def forward(number: int) -> BatchRecord:
    """One that can be told apart."""
    return BatchRecord((RowRecord("a", number, 0.0, ""),), float(number), 0.0, 0.1, Kernel.UNIFORM, number)


async def soon(awaitable: Awaitable[T]) -> T:
    """What comes within a bounded time."""
    async with asyncio.timeout(5):
        return await awaitable


async def begun(watch: AsyncGenerator[Recorded, None]) -> "asyncio.Task[Recorded]":
    """Ask a watch for the next, and let it begin."""
    asked = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    return asked


def numbers(recorded: Recorded) -> list[int]:
    """Which forwards they are."""
    return [batch.num_padded_tokens for batch in recorded.batches]


def test_the_last_forwards_are_kept(recorder: BatchRecorder) -> None:
    """Oldest first; those before them are forgotten."""
    for number in range(7):
        recorder.record(forward(number))

    assert [3, 4, 5, 6] == [batch.num_padded_tokens for batch in recorder.recent]


async def test_a_watch_tells_of_what_ends_from_then_on(recorder: BatchRecorder) -> None:
    """All of it once, and at once what has ended since."""
    recorder.record(forward(0))
    async with aclosing(recorder.watch()) as watch:
        first = await begun(watch)
        assert not first.done()

        recorder.record(forward(1))
        assert (([1], 0)) == (numbers(await soon(first)), first.result().num_missed)
        recorder.record(forward(2))
        recorder.record(forward(3))

        assert [2, 3] == numbers(await soon(anext(watch)))


async def test_a_slow_watch_is_told_how_many_it_missed(recorder: BatchRecorder) -> None:
    """It goes on with what the log has."""
    async with aclosing(recorder.watch()) as watch:
        first = await begun(watch)
        recorder.record(forward(0))
        await soon(first)
        for number in range(1, 8):
            recorder.record(forward(number))

        late = await soon(anext(watch))
        recorder.record(forward(8))
        after = await soon(anext(watch))

    assert ([4, 5, 6, 7], 3) == (numbers(late), late.num_missed)
    assert ([8], 0) == (numbers(after), after.num_missed)


async def test_all_watches_are_told_of_the_same(recorder: BatchRecorder) -> None:
    """One that doesn't read holds up nobody."""
    async with aclosing(recorder.watch()) as quick, aclosing(recorder.watch()) as slow:
        asked = [await begun(quick), await begun(slow)]
        recorder.record(forward(0))
        told = [numbers(await soon(each)) for each in asked]
        for number in (1, 2):
            recorder.record(forward(number))
            told.append(numbers(await soon(anext(quick))))
        told.append(numbers(await soon(anext(slow))))

    assert [[0], [0], [1], [2], [1, 2]] == told


async def test_closing_ends_every_watch(recorder: BatchRecorder) -> None:
    """Those that wait, and those that come later."""
    waiting = recorder.watch()
    asked = await begun(waiting)

    recorder.close()

    with pytest.raises(StopAsyncIteration):
        await soon(asked)
    assert [] == [each async for each in recorder.watch()]


async def test_a_cancelled_watch_leaves_the_others_alone(recorder: BatchRecorder) -> None:
    """And nothing behind."""
    async with aclosing(recorder.watch()) as stays:
        goes = await begun(recorder.watch())
        asked = await begun(stays)
        goes.cancel()
        await asyncio.sleep(0)

        recorder.record(forward(0))

        assert [0] == numbers(await soon(asked))
    assert goes.cancelled()


async def test_observers_are_called_in_the_step_that_ends_a_forward(recorder: BatchRecorder) -> None:
    """Each with each."""
    seen: list[tuple[str, int]] = []
    recorder.observers += [lambda each, who=who: seen.append((who, each.num_padded_tokens)) for who in "ab"]

    recorder.record(forward(1))

    assert [("a", 1), ("b", 1)] == seen


async def test_a_record_says_what_was_computed() -> None:
    """Waits end where the forward was given to the engine."""
    plan = _plan()
    values = (plan.rows[0].columns["input_ids"],) * 2
    result = BatchResult(values, 1, 0.004, 0.01, frozenset({0}), (Kernel.SWITCH,))  # type: ignore[arg-type]

    record = record_of(plan, result, started_at=102.0)

    rows = (RowRecord("a", 3, 2.0, "r-1"), RowRecord("", 5, 0.5, ""))
    assert BatchRecord(rows, 102.0, 0.004, 0.01, Kernel.SWITCH, num_padded_tokens=10) == record
    assert 8 == record.num_tokens


async def test_a_record_of_a_failure_has_no_kernel() -> None:
    """But the time that it took."""
    record = failed_record(_plan(), started_at=102.0, seconds=0.3)

    assert (None, 0.0, 0.3, 2) == (
        record.kernel,
        record.traversal_seconds,
        record.compute_seconds,
        len(record.rows),
    )


async def test_a_result_that_does_not_fit_its_plan_is_refused() -> None:
    """Rows would get the answers of others."""
    result = BatchResult((), 0, 0.0, 0.01, frozenset({0}), (Kernel.UNIFORM,))

    with pytest.raises(ValueError, match="2 rows were asked for and 0 came"):
        record_of(_plan(), result, started_at=102.0)


async def test_the_scheduler_records_each_forward(scheduler: Scheduler, engine: FakeEngine, clock: Clock) -> None:
    """With the time at which it began, also of one that fails."""
    row, other = make_row(num_tokens=3), make_row(num_tokens=4)
    row.adapter = "a"
    scheduler.submit([row])
    await engine.next_plan()
    clock.now += 0.5
    engine.finish(seconds=0.01)
    await answer(row.future)
    scheduler.submit([other])
    await engine.next_plan()
    engine.fail(RuntimeError("broken"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is told elsewhere
        await answer(other.future)

    good, bad = scheduler.recorder.recent
    assert ("a", 3, 100.0, 0.01, Kernel.SWITCH) == (
        good.rows[0].adapter,
        good.num_tokens,
        good.started_at,
        good.compute_seconds,
        good.kernel,
    )
    assert (None, 4) == (bad.kernel, bad.num_tokens)


def _plan() -> BatchPlan:
    first, second = make_row(num_tokens=3), make_row(num_tokens=5)
    first.adapter, first.request_id, first.enqueued_at, second.enqueued_at = "a", "r-1", 100.0, 101.5
    return BatchPlan.at_once([first, second])
