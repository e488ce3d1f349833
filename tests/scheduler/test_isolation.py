"""A forward of several slots that raises is computed once more slot by slot, so that none fails for another."""

import asyncio
from collections.abc import Collection, Sequence

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, ExecutorKind, Row, RowCounts
from tests.scheduler.engine import BANK, SETTINGS, Clock, FakeEngine, answer, make_row

ONE, OTHER = BANK
SLOTS = (BASE_SLOT, *BANK)


async def test_rows_of_the_slot_at_fault_fail_alone(scheduler: Scheduler, engine: FakeEngine) -> None:
    """They get what their own batch raised; the others are answered with their own values."""
    bad, good, base = make_row(ONE, 3), make_row(OTHER, 5), make_row(BASE_SLOT, 7)
    scheduler.submit([bad, good, base])
    errors = [RuntimeError("together"), RuntimeError("alone")]

    await engine.next_plan()
    engine.fail(errors[0])
    await _serve(engine, 3, {ONE}, errors[1])

    assert [5.0, 7.0] == [float((await answer(row.future)).values[0]) for row in (good, base)]
    assert errors[1] is bad.future.exception()
    assert RowCounts(accepted=3, answered=2, failed=1) == scheduler.status().rows


async def test_slots_are_computed_one_by_one(scheduler: Scheduler, engine: FakeEngine) -> None:
    """All rows of each together, in their order; whoever came meanwhile comes after them."""
    rows = [make_row(slot) for slot in (ONE, OTHER, ONE, BASE_SLOT)]
    scheduler.submit(rows)
    await engine.next_plan()
    late = make_row(OTHER)
    scheduler.submit([late])

    engine.fail(RuntimeError("boom"))
    await _serve(engine, 4)

    await answer(late.future)
    _, *parts = (plan.rows for plan in engine.plans)
    assert (late,) == parts.pop()
    assert {(rows[0], rows[2]), (rows[1],), (rows[3],)} == set(parts)


async def test_other_forwards_of_the_batch_are_not_computed_again(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Lengths far apart are in forwards of their own."""
    bad, good, long = make_row(ONE), make_row(OTHER), make_row(OTHER, 500)
    scheduler.submit([bad, good, long])

    await _serve(engine, 4, {ONE})
    await answer(long.future)

    assert [{bad, good}, {bad}, {good}, {long}] == [{*plan.rows} for plan in engine.plans]
    assert RowCounts(accepted=3, answered=2, failed=1) == scheduler.status().rows
    assert isinstance(bad.future.exception(), RuntimeError)


async def test_batch_of_one_slot_is_not_computed_again(scheduler: Scheduler, engine: FakeEngine) -> None:
    bad = [make_row(ONE), make_row(ONE)]
    scheduler.submit(bad)

    await engine.next_plan()
    engine.fail(RuntimeError("boom"))
    await asyncio.wait([row.future for row in bad], timeout=5)

    assert 1 == len(engine.plans)
    assert RowCounts(accepted=2, failed=2) == scheduler.status().rows
    assert all(row.future.exception() for row in bad)


async def test_error_that_nobody_gets_is_logged(scheduler: Scheduler, engine: FakeEngine) -> None:
    """As where a batch needs more memory than its slots do one by one."""
    rows = [make_row(ONE), make_row(OTHER)]
    scheduler.submit(rows)
    error = RuntimeError("out of memory")

    with capture_logs() as log:
        await engine.next_plan()
        engine.fail(error)
        await _serve(engine, 2)
        for row in rows:
            await answer(row.future)

    assert [error] == [line["exc_info"] for line in log]


async def test_rows_cancelled_meanwhile_are_not_computed_again(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Nor is a slot without any other."""
    gone, kept, good = make_row(ONE), make_row(ONE), make_row(OTHER)
    scheduler.submit([gone, good, kept])
    await engine.next_plan()

    gone.future.cancel()
    good.future.cancel()
    engine.fail(RuntimeError("boom"))
    await _serve(engine, 1)

    await answer(kept.future)
    assert [(kept,)] == [plan.rows for plan in engine.plans[1:]]
    assert RowCounts(accepted=3, answered=1, cancelled=2) == scheduler.status().rows


async def test_end_of_the_server_meanwhile_fails_all_that_are_left(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Whether their slot is being computed or not yet."""
    rows = [make_row(slot) for slot in SLOTS]
    scheduler.submit(rows)
    await engine.next_plan()
    engine.fail(RuntimeError("boom"))
    first = (await engine.next_plan()).rows[0]
    engine.finish()
    await answer(first.future)
    await engine.next_plan()

    await scheduler.close()

    assert {ShuttingDownError} == {type(row.future.exception()) for row in rows if row is not first}
    assert RowCounts(accepted=3, answered=1, failed=2) == scheduler.status().rows


@given(st.lists(st.sampled_from(SLOTS), min_size=1, max_size=6), st.frozensets(st.sampled_from(SLOTS)))
def test_exactly_the_rows_of_broken_slots_fail(slots: Sequence[int], broken: frozenset[int]) -> None:
    """Whatever shares batches with whom; and each row is computed twice at most."""
    # Their tracebacks would take longer to print than all else.
    with capture_logs():
        rows, num_computed = asyncio.run(_outcome(slots, broken))

    assert [row.slot in broken for row in rows] == [row.future.exception() is not None for row in rows]
    assert num_computed <= 2 * len(rows)


async def _outcome(slots: Sequence[int], broken: Collection[int]) -> tuple[list[Row], int]:
    """The rows after all have left, and how often a row was computed."""
    engine, num_computed = FakeEngine(), 0

    async def run(plan: BatchPlan) -> BatchResult:
        nonlocal num_computed
        num_computed += len(plan.rows)
        computing = asyncio.ensure_future(engine.run(plan))
        await _serve(engine, 1, broken)
        return await computing

    scheduler = Scheduler(run, SETTINGS, Clock())
    for slot in BANK:
        scheduler.configure_slot(slot, label=str(slot), executor=ExecutorKind.BANK)
    rows = [make_row(slot) for slot in slots]
    scheduler.submit(rows)
    await scheduler.start()
    await asyncio.wait([row.future for row in rows], timeout=5)
    await scheduler.close()
    return rows, num_computed


async def _serve(
    engine: FakeEngine, num_batches: int, broken: Collection[int] = (), error: Exception | None = None
) -> None:
    """Finish the next batches, but fail those with rows of a broken slot."""
    for _ in range(num_batches):
        plan = await engine.next_plan()
        if any(row.slot in broken for row in plan.rows):
            engine.fail(error or RuntimeError("boom"))
        else:
            engine.finish()
