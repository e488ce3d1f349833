"""Traversals that the real scheduler and executor make, against arrival order and against the offline minimum.

Sixteen adapters share one PEFT tree, so that every change of the adapter is a traversal. First the capacity is
measured: how fast requests are served if a thousand are there at once. Then they arrive at random times, at 80 % of the
capacity, whether or not earlier ones are answered (open loop). gRPC takes no part. The ratios depend on the load, so
they are only as good as the machine is steady; `quick` is on the high side, since the queues are empty at first.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from adaptermux_server.engine.engine import Engine
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.packing import padded_tokens
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

Feed = Callable[[Scheduler, Sequence[Row]], Awaitable[None]]
"""Submits all rows, in order."""


@dataclass(frozen=True, slots=True)
class Served:
    """Rows that were all served, and what that took."""

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


class MeteredEngine:
    """Adds up what the engine does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.busy_seconds = 0.0
        self.num_padded_tokens = 0

    async def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan."""
        result = await self._engine.run(plan)
        self.busy_seconds += result.traversal_seconds + result.compute_seconds
        self.num_padded_tokens += padded_tokens(plan.rows)
        return result


def run(quick: bool) -> dict[str, float]:
    """Measure with 2,000 requests; `quick`: 500."""
    num_requests = _NUM_QUICK_REQUESTS if quick else _NUM_REQUESTS
    with TemporaryDirectory() as folder:
        adapters = save_adapters(Path(folder), _NUM_ADAPTERS)
        return asyncio.run(_measure(list(adapters.values()), num_requests))


async def _measure(folders: Sequence[Path], num_requests: int) -> dict[str, float]:
    async with running_engine(adapters_per_tree=_NUM_ADAPTERS) as engine:
        await install_all(engine, folders)
        backlog = _rows(engine, traffic(_NUM_AT_ONCE, _NUM_ADAPTERS, seed=1))
        capacity = (await _serve(engine, backlog, _all_at_once)).rows_per_second
        requests = traffic(num_requests, _NUM_ADAPTERS)
        arrivals = [request.arrives_at / (_LOAD * capacity) for request in requests]
        return _metrics(await _serve(engine, _rows(engine, requests), _open_loop(arrivals)), capacity)


def _rows(engine: Engine, requests: Sequence[Request]) -> list[Row]:
    new_future = asyncio.get_running_loop().create_future
    return [
        Row(request.adapter + 1, _columns(engine, request.text), pooling=None, future=new_future())
        for request in requests
    ]


def _columns(engine: Engine, text: str) -> dict[str, tuple[int, ...]]:
    encoded = engine.backbone.tokenizer(text)
    return {name: tuple(values) for name, values in encoded.items() if name != "attention_mask"}


async def _serve(engine: Engine, rows: Sequence[Row], feed: Feed) -> Served:
    metered = MeteredEngine(engine)
    scheduler = Scheduler(metered.run, SchedulerSettings())
    await scheduler.start()
    started = time.perf_counter()
    await feed(scheduler, rows)
    await asyncio.gather(*(row.future for row in rows))
    seconds = time.perf_counter() - started
    status = scheduler.status()
    await scheduler.close()
    return Served(rows, seconds, metered.busy_seconds, metered.num_padded_tokens, status)


async def _all_at_once(scheduler: Scheduler, rows: Sequence[Row]) -> None:
    scheduler.submit(rows)


def _open_loop(arrivals: Sequence[float]) -> Feed:
    async def feed(scheduler: Scheduler, rows: Sequence[Row]) -> None:
        started = time.perf_counter()
        for row, arrives_at in zip(rows, arrivals, strict=True):
            await asyncio.sleep(started + arrives_at - time.perf_counter())
            scheduler.submit([row])

    return feed


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
