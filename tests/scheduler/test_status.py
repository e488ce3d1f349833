"""What the scheduler tells of itself, and what it learns."""

import pytest

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import BASE_SLOT, Kernel, QueueDepth
from tests.scheduler.engine import BANK, Clock, FakeEngine, answer, make_row


async def test_status_shows_queues_longest_first_with_their_oldest_wait(
    scheduler: Scheduler, engine: FakeEngine, clock: Clock
) -> None:
    """Rows being computed no longer wait."""
    scheduler.submit([make_row(slot=9)])
    await engine.next_plan()
    scheduler.submit([make_row(slot=1)])
    clock.now += 1.0
    scheduler.submit([make_row(slot=2), make_row(slot=2)])
    clock.now += 2.0

    assert (QueueDepth(2, 2, 2.0), QueueDepth(1, 1, 3.0)) == scheduler.status().queues


async def test_traversals_are_counted_beside_what_arrival_order_would_have_cost(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """Interleaved rows of two adapters and the base: two traversals instead of four."""
    scheduler.submit([make_row(slot=BASE_SLOT)])
    await engine.next_plan()
    rows = [make_row(slot=slot) for slot in (1, 2, BASE_SLOT, 1, 2)]
    scheduler.submit(rows)

    for _ in range(3):
        engine.finish()
        await engine.next_plan()
    engine.finish()
    for row in rows:
        await answer(row.future)

    status = scheduler.status()
    assert (2, 4) == (status.num_traversals, status.num_traversals_in_arrival_order)
    assert (4, 6) == (status.num_batches, status.num_batched_rows)


async def test_adapters_that_share_a_forward_are_counted_beside_how_it_was_made(
    scheduler: Scheduler, engine: FakeEngine
) -> None:
    """Different slots in each forward: rows of a length far from the others' go into one of their own."""
    scheduler.submit([make_row(slot=2)])
    await engine.next_plan()
    short = [make_row(slot=slot) for slot in (*BANK, BASE_SLOT)]
    long = make_row(slot=BANK[0], num_tokens=500)
    scheduler.submit([*short, long])

    for _ in range(2):
        engine.finish()
        await engine.next_plan()
    engine.finish()
    await answer(long.future)

    status = scheduler.status()
    assert [1, 3, 1] == [len(plan.rows) for plan in engine.plans]
    assert (3, 1 + 3 + 1) == (status.num_batches, status.num_batched_adapters)
    assert {Kernel.SWITCH: 1, Kernel.SEGMENTS: 2} == status.forwards_by_kernel


async def test_costs_are_learnt_from_what_batches_cost(scheduler: Scheduler, engine: FakeEngine) -> None:
    """The priors give way to measurements."""
    before = scheduler.status().costs
    for index in range(30):
        row = make_row(slot=1 + index % 2, num_tokens=100)
        scheduler.submit([row])
        await engine.next_plan()
        engine.finish(seconds=0.25)
        await answer(row.future)
    costs = scheduler.status().costs

    assert before.batch_seconds < 0.25
    assert before.traversal_seconds < 0.003
    assert pytest.approx(0.004, rel=0.01) == costs.traversal_seconds
    assert pytest.approx(0.25, rel=0.1) == costs.batch_seconds + 100 * costs.token_seconds
