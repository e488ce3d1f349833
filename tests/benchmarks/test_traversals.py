"""The open loop of `traversals`: rows arrive when they should by the clock that counts CPU seconds."""

import asyncio

import numpy as np

from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Kernel, Row
from benchmarks.traversals import OpenLoop


class FakeEngine:
    """Takes one CPU second for a batch, of which it reports other, longer times."""

    def __init__(self) -> None:
        self.cpu_seconds = 100.0
        self.batches: list[tuple[int, int]] = []

    async def run(self, plan: BatchPlan) -> BatchResult:
        """Compute nothing."""
        await asyncio.sleep(0)
        self.cpu_seconds += 1.0
        (slot,) = {row.slot for row in plan.rows}
        self.batches.append((slot, len(plan.rows)))
        values = tuple(np.zeros(1, np.float32) for _ in plan.rows)
        kernels = (Kernel.SWITCH,) * len(plan.forwards)
        return BatchResult(values, 1, 3.0, 1.0, frozenset({BASE_SLOT, slot}), kernels)


async def test_rows_join_at_their_times_and_an_idle_engine_skips_to_the_next() -> None:
    engine = FakeEngine()
    rows = [_row(slot) for slot in (1, 2, 2, 1)]

    served = await OpenLoop(engine.run, rows, [0.0, 0.25, 0.5, 10.0], lambda: engine.cpu_seconds).serve()

    assert [(1, 1), (2, 2), (1, 1)] == engine.batches
    assert [0.0, 0.25, 0.5, 10.0] == [row.enqueued_at for row in rows]
    assert [0.0, 0.75, 0.5, 0.0] == served.waits
    assert (11.0, 3.0) == (served.seconds, served.busy_seconds)


async def test_the_scheduler_learns_costs_in_cpu_seconds() -> None:
    """Of a batch's CPU second a quarter is the forward, as in the times that the engine reports."""
    engine = FakeEngine()
    rows = [_row(1) for _ in range(200)]

    served = await OpenLoop(
        engine.run, rows, [10.0 * index for index in range(200)], lambda: engine.cpu_seconds
    ).serve()

    costs = served.status.costs
    assert 0.2 < costs.batch_seconds + 4 * costs.token_seconds < 0.3
    assert 0.7 < costs.traversal_seconds < 0.8


def _row(slot: int) -> Row:
    return Row(slot, {"input_ids": (1, 2, 3, 4)}, pooling=None, future=asyncio.get_running_loop().create_future())
