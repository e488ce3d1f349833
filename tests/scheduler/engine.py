"""A runner that computes when it is told to, and a clock that stands until it is moved."""

import asyncio
from collections.abc import Callable

import numpy as np

from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Deadline, Kernel, Row, RowAnswer

NEVER = Deadline()
BANK = (11, 12)
"""The slots that share a lane with the base, in the scheduler and in its engine."""
SETTINGS = SchedulerSettings(max_batch_rows=4, max_queued_rows=10, max_queued_rows_per_adapter=6)


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeEngine:
    """Keeps each plan until `finish` or `fail`; of the slots outside of the bank, one is active at a time."""

    def __init__(self) -> None:
        self.plans: list[BatchPlan] = []
        self._active = BASE_SLOT
        self._begun = asyncio.Semaphore(0)
        self._outcome: asyncio.Future[BatchResult] | None = None

    async def run(self, plan: BatchPlan) -> BatchResult:
        """The scheduler's runner."""
        self.plans.append(plan)
        self._outcome = asyncio.get_running_loop().create_future()
        self._begun.release()
        return await self._outcome

    async def next_plan(self) -> BatchPlan:
        """Wait until the next batch has begun."""
        async with asyncio.timeout(5):
            await self._begun.acquire()
        return self.plans[-1]

    def finish(self, seconds: float = 0.01) -> None:
        """Answer the batch: each row by its own length."""
        assert self._outcome is not None
        plan = self.plans[-1]
        slots = {row.slot for row in plan.rows}
        in_bank = slots <= {BASE_SLOT, *BANK}
        assert in_bank or len(slots) == 1
        traversed = not in_bank and slots != {self._active}
        self._active = plan.rows[0].slot if traversed else self._active
        values = tuple(np.array([row.num_tokens], dtype=np.float32) for row in plan.rows)
        resident = frozenset({BASE_SLOT, self._active})
        kernels = (Kernel.SEGMENTS if in_bank else Kernel.SWITCH,) * len(plan.forwards)
        self._outcome.set_result(BatchResult(values, int(traversed), 0.004 * traversed, seconds, resident, kernels))

    def fail(self, error: Exception) -> None:
        """Let the batch raise."""
        assert self._outcome is not None
        self._outcome.set_exception(error)


def make_row(slot: int = 1, num_tokens: int = 3, deadline: Deadline = NEVER) -> Row:
    """A row of the running loop."""
    future: asyncio.Future[RowAnswer] = asyncio.get_running_loop().create_future()
    return Row(slot=slot, columns={"input_ids": (7,) * num_tokens}, pooling=None, future=future, deadline=deadline)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds, for a bounded number of turns."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never held")


async def answer(future: "asyncio.Future[RowAnswer]") -> RowAnswer:
    """What the row ends with, within a bounded time."""
    async with asyncio.timeout(5):
        return await future
