"""Traversals that the real scheduler and executor make, against arrival order and against the offline minimum.

Sixteen adapters share one PEFT tree, so that every change of the adapter is a traversal. First the capacity is
measured: the same traffic, as many requests at once as keep the engine busy. Then the requests arrive at random times,
80 % of what the engine can serve, whether or not earlier ones are answered (open loop). gRPC takes no part.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from adaptermux_server.engine.engine import Engine
from adaptermux_server.scheduler.loop import Scheduler
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
_NUM_CALLERS = 128
"""Requests in the scheduler at all times while the capacity is measured."""

Feed = Callable[[Scheduler, Sequence[Row]], Awaitable[None]]
"""Submits all rows, and returns once all are answered."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one run gave."""

    rows: Sequence[Row]
    seconds: float
    busy_seconds: float
    """In which the engine computed or walked."""
    status: SchedulerStatus

    @property
    def waits(self) -> list[float]:
        """Of each row, in seconds: from joining the queue to the start of its batch."""
        return [row.future.result().queue_seconds for row in self.rows]


class MeteredEngine:
    """Adds up the time that the engine is busy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.busy_seconds = 0.0

    async def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan."""
        result = await self._engine.run(plan)
        self.busy_seconds += result.traversal_seconds + result.compute_seconds
        return result


def run(quick: bool) -> dict[str, float]:
    """Measure with 2,000 requests; `quick`: 500."""
    with TemporaryDirectory() as folder:
        adapters = save_adapters(Path(folder), _NUM_ADAPTERS)
        return asyncio.run(_measure(list(adapters.values()), traffic(500 if quick else 2000, _NUM_ADAPTERS)))


async def _measure(folders: Sequence[Path], requests: Sequence[Request]) -> dict[str, float]:
    async with running_engine(adapters_per_tree=_NUM_ADAPTERS) as engine:
        await install_all(engine, folders)
        columns = [_columns(engine, request.text) for request in requests]
        saturated = await _serve(engine, requests, columns, _closed_loop)
        capacity = len(requests) / saturated.seconds
        arrivals = [request.arrives_at / (_LOAD * capacity) for request in requests]
        served = await _serve(engine, requests, columns, _open_loop(arrivals))
    return _metrics(served, arrivals, capacity)


def _columns(engine: Engine, text: str) -> Mapping[str, tuple[int, ...]]:
    encoded = engine.backbone.tokenizer(text)
    return {name: tuple(values) for name, values in encoded.items() if name != "attention_mask"}


async def _serve(
    engine: Engine, requests: Sequence[Request], columns: Sequence[Mapping[str, tuple[int, ...]]], feed: Feed
) -> Served:
    new_future = asyncio.get_running_loop().create_future
    rows = [
        Row(request.adapter + 1, of_row, None, new_future()) for request, of_row in zip(requests, columns, strict=True)
    ]
    metered = MeteredEngine(engine)
    scheduler = Scheduler(metered.run, SchedulerSettings())
    await scheduler.start()
    started = time.perf_counter()
    await feed(scheduler, rows)
    seconds = time.perf_counter() - started
    status = scheduler.status()
    await scheduler.close()
    return Served(rows, seconds, metered.busy_seconds, status)


async def _closed_loop(scheduler: Scheduler, rows: Sequence[Row]) -> None:
    waiting = iter(rows)

    async def caller() -> None:
        for row in waiting:
            scheduler.submit([row])
            await row.future

    await asyncio.gather(*(caller() for _ in range(_NUM_CALLERS)))


def _open_loop(arrivals: Sequence[float]) -> Feed:
    async def feed(scheduler: Scheduler, rows: Sequence[Row]) -> None:
        started = time.perf_counter()
        for row, arrives_at in zip(rows, arrivals, strict=True):
            await asyncio.sleep(started + arrives_at - time.perf_counter())
            scheduler.submit([row])
        await asyncio.gather(*(row.future for row in rows))

    return feed


def _metrics(served: Served, arrivals: Sequence[float], capacity: float) -> dict[str, float]:
    made = served.status.num_traversals
    p50, p95, longest = (float(np.percentile(served.waits, percent)) for percent in (50, 95, 100))
    return {
        "traversals_vs_fifo": made / served.status.num_traversals_in_arrival_order,
        "traversals_vs_minimum": made / minimum_visits(_arrivals_by_slot(served.rows), longest),
        "traversals": made,
        "wait_ms_p50": p50 * 1e3,
        "wait_ms_p95": p95 * 1e3,
        "wait_ms_max": longest * 1e3,
        "mean_batch_rows": served.status.num_batched_rows / served.status.num_batches,
        "capacity_rows_per_second": capacity,
        "load": len(arrivals) / arrivals[-1] / capacity,
        "engine_busy": served.busy_seconds / served.seconds,
    }


def _arrivals_by_slot(rows: Sequence[Row]) -> dict[int, list[float]]:
    arrivals: dict[int, list[float]] = {}
    for row in rows:
        arrivals.setdefault(row.slot, []).append(row.enqueued_at)
    return arrivals
