"""Traversals that the real scheduler and executor make, against arrival order and against the offline minimum.

Sixteen adapters share one PEFT tree, so that every change of the adapter is a traversal. First the capacity is
measured: how fast requests are served if a thousand are there at once. Then they arrive at random times, at 80 % of the
capacity, whether or not earlier ones are answered (open loop). gRPC takes no part.

The ratios depend on the load, and a load of 80 % soon is one of 120 % on a machine that others use. So time is
counted in CPU seconds of this process: the scheduler's clock advances by what a batch took of them, rows that arrived
meanwhile join the queue at their times, and an idle engine finds the clock at the next arrival. `quick` is on the high
side, since the queues are empty at first.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from adaptermux_server.engine.engine import Engine
from adaptermux_server.scheduler.loop import Runner, Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BatchPlan, BatchResult, Row, SchedulerStatus
from benchmarks.adapters import save_adapters
from benchmarks.bounds import minimum_visits
from benchmarks.engines import install_all, running_engine
from benchmarks.traffic import Request, traffic

TARGETS: dict[str, tuple[str, float]] = {
    "traversals_vs_fifo": ("<=", 0.15),
    "traversals_vs_minimum": ("<=", 1.6),
}

_NUM_ADAPTERS = 16
_LOAD = 0.8
_NUM_REQUESTS, _NUM_QUICK_REQUESTS, _NUM_AT_ONCE = 2000, 500, 1000


@dataclass(frozen=True, slots=True)
class Served:
    """Rows that were all served, and what that took; times in CPU seconds."""

    rows: Sequence[Row]
    seconds: float
    busy_seconds: float
    """In which the engine computed or walked."""
    num_padded_tokens: int
    """Longest row × rows, of all batches."""
    status: SchedulerStatus

    @property
    def rows_per_second(self) -> float:
        """Throughput."""
        return len(self.rows) / self.seconds

    @property
    def arrivals_per_second(self) -> float:
        """At which rate they came."""
        return (len(self.rows) - 1) / (self.rows[-1].enqueued_at - self.rows[0].enqueued_at)

    @property
    def waits(self) -> list[float]:
        """Of each row, in seconds: from joining the queue to the start of its batch."""
        return [row.future.result().queue_seconds for row in self.rows]

    def minimum(self, longest_wait: float) -> int:
        """The fewest visits at which no row waits longer than `longest_wait` seconds."""
        arrivals: dict[int, list[float]] = {}
        for row in self.rows:
            arrivals.setdefault(row.slot, []).append(row.enqueued_at)
        return minimum_visits(arrivals, longest_wait)


class OpenLoop:
    """Has rows served which arrive at given times of a clock that counts CPU seconds."""

    def __init__(
        self,
        runner: Runner,
        rows: Sequence[Row],
        arrivals: Sequence[float],
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._runner = runner
        self._cpu_clock = cpu_clock
        self._rows = rows
        self._to_come = deque(zip(arrivals, rows, strict=True))
        self._now = 0.0
        self._busy_seconds = 0.0
        self._num_padded_tokens = 0
        self._scheduler = Scheduler(self._run, SchedulerSettings(), clock=lambda: self._now)

    async def serve(self) -> Served:
        """Serve all rows; once only."""
        await self._scheduler.start()
        while self._to_come:
            # The engine is idle: nothing happens until the next arrival.
            self._advance(self._to_come[0][0])
            await self._idle()
        status = self._scheduler.status()
        await self._scheduler.close()
        return Served(self._rows, self._now, self._busy_seconds, self._num_padded_tokens, status)

    async def _run(self, plan: BatchPlan) -> BatchResult:
        started = self._cpu_clock()
        result = await self._runner(plan)
        seconds = self._cpu_clock() - started
        self._busy_seconds += seconds
        self._num_padded_tokens += plan.num_padded_tokens
        self._advance(self._now + seconds)
        return _in_seconds(result, seconds)

    def _advance(self, now: float) -> None:
        while self._to_come and self._to_come[0][0] <= now:
            self._now, row = self._to_come.popleft()
            self._scheduler.submit([row])
        self._now = now

    async def _idle(self) -> None:
        """Return once all rows that have arrived are answered."""
        while pending := [row.future for row in self._arrived() if not row.future.done()]:
            await asyncio.wait(pending)

    def _arrived(self) -> Sequence[Row]:
        return self._rows[: len(self._rows) - len(self._to_come)]


def _in_seconds(result: BatchResult, seconds: float) -> BatchResult:
    """A result as if it had taken so long, for the scheduler to learn from."""
    factor = seconds / (result.traversal_seconds + result.compute_seconds)
    return replace(
        result,
        traversal_seconds=factor * result.traversal_seconds,
        compute_seconds=factor * result.compute_seconds,
    )


def run(quick: bool) -> dict[str, float]:
    """Measure with 2,000 requests; `quick`: 500."""
    num_requests = _NUM_QUICK_REQUESTS if quick else _NUM_REQUESTS
    with TemporaryDirectory() as folder:
        adapters = save_adapters(Path(folder), _NUM_ADAPTERS)
        return asyncio.run(_measure(list(adapters.values()), num_requests))


async def _measure(folders: Sequence[Path], num_requests: int) -> dict[str, float]:
    async with running_engine("switch", _NUM_ADAPTERS) as engine:
        await install_all(engine, folders)
        backlog = _rows(engine, traffic(_NUM_AT_ONCE, _NUM_ADAPTERS, seed=1))
        capacity = (await OpenLoop(engine.run, backlog, [0.0] * len(backlog)).serve()).rows_per_second
        requests = traffic(num_requests, _NUM_ADAPTERS)
        arrivals = [request.arrives_at / (_LOAD * capacity) for request in requests]
        return _metrics(await OpenLoop(engine.run, _rows(engine, requests), arrivals).serve(), capacity)


def _rows(engine: Engine, requests: Sequence[Request]) -> list[Row]:
    new_future = asyncio.get_running_loop().create_future
    return [
        Row(request.adapter + 1, _columns(engine, request.text), pooling=None, future=new_future())
        for request in requests
    ]


def _columns(engine: Engine, text: str) -> dict[str, tuple[int, ...]]:
    encoded = engine.backbone.tokenizer(text)
    return {name: tuple(values) for name, values in encoded.items() if name != "attention_mask"}


def _metrics(served: Served, capacity: float) -> dict[str, float]:
    waits, status = served.waits, served.status
    return {
        "traversals_vs_fifo": status.num_traversals / status.num_traversals_in_arrival_order,
        "traversals_vs_minimum": status.num_traversals / served.minimum(max(waits)),
        "traversals": status.num_traversals,
        "wait_ms_p50": float(np.percentile(waits, 50)) * 1e3,
        "wait_ms_p95": float(np.percentile(waits, 95)) * 1e3,
        "wait_ms_max": max(waits) * 1e3,
        "mean_batch_rows": status.num_batched_rows / status.num_batches,
        "padding": served.num_padded_tokens / sum(row.num_tokens for row in served.rows),
        "capacity_rows_per_second": capacity,
        "load": served.arrivals_per_second / capacity,
        "engine_busy": served.busy_seconds / served.seconds,
    }
