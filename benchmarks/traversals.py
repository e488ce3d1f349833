"""Traversals that the real scheduler and executor make, against arrival order and against the offline minimum.

Sixteen adapters share one PEFT tree, so that every change of the adapter is a traversal. Each round measures the
capacity first: how fast its requests are served if all are there at once. Then they arrive at random times, 80 % of the
capacity, whether or not earlier ones are answered (open loop). Rounds keep the load right on a machine whose speed
changes. gRPC takes no part.
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
_ROUND_REQUESTS = 500
_NUM_ROUNDS = 4

Feed = Callable[[Scheduler, Sequence[Row]], Awaitable[None]]
"""Submits all rows, in order."""
Columns = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Served:
    """Rows that were all served, and what that took."""

    rows: Sequence[Row]
    seconds: float
    busy_seconds: float
    """In which the engine computed or walked."""
    status: SchedulerStatus

    @property
    def rows_per_second(self) -> float:
        """Throughput."""
        return len(self.rows) / self.seconds

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


@dataclass(frozen=True, slots=True)
class Round:
    """A measured capacity, and traffic in proportion to it."""

    rows_per_second: float
    """The capacity."""
    served: Served

    @property
    def load(self) -> float:
        """What arrived, as a share of the capacity."""
        rows = self.served.rows
        return len(rows) / (rows[-1].enqueued_at - rows[0].enqueued_at) / self.rows_per_second


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
    """Measure with 4 rounds of 500 requests; `quick`: one round."""
    num_rounds = 1 if quick else _NUM_ROUNDS
    with TemporaryDirectory() as folder:
        adapters = save_adapters(Path(folder), _NUM_ADAPTERS)
        return _metrics(asyncio.run(_measure(list(adapters.values()), num_rounds)))


async def _measure(folders: Sequence[Path], num_rounds: int) -> list[Round]:
    async with running_engine(adapters_per_tree=_NUM_ADAPTERS) as engine:
        await install_all(engine, folders)
        return [await _round(engine, traffic(_ROUND_REQUESTS, _NUM_ADAPTERS, seed)) for seed in range(num_rounds)]


async def _round(engine: Engine, requests: Sequence[Request]) -> Round:
    columns = [_columns(engine, request.text) for request in requests]
    capacity = (await _serve(engine, _rows(requests, columns), _all_at_once)).rows_per_second
    arrivals = [request.arrives_at / (_LOAD * capacity) for request in requests]
    return Round(capacity, await _serve(engine, _rows(requests, columns), _open_loop(arrivals)))


def _columns(engine: Engine, text: str) -> Columns:
    encoded = engine.backbone.tokenizer(text)
    return {name: tuple(values) for name, values in encoded.items() if name != "attention_mask"}


def _rows(requests: Sequence[Request], columns: Sequence[Columns]) -> list[Row]:
    new_future = asyncio.get_running_loop().create_future
    pairs = zip(requests, columns, strict=True)
    return [Row(request.adapter + 1, of_row, pooling=None, future=new_future()) for request, of_row in pairs]


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
    return Served(rows, seconds, metered.busy_seconds, status)


async def _all_at_once(scheduler: Scheduler, rows: Sequence[Row]) -> None:
    scheduler.submit(rows)


def _open_loop(arrivals: Sequence[float]) -> Feed:
    async def feed(scheduler: Scheduler, rows: Sequence[Row]) -> None:
        started = time.perf_counter()
        for row, arrives_at in zip(rows, arrivals, strict=True):
            await asyncio.sleep(started + arrives_at - time.perf_counter())
            scheduler.submit([row])

    return feed


def _metrics(rounds: Sequence[Round]) -> dict[str, float]:
    served = [round_.served for round_ in rounds]
    waits = [wait for part in served for wait in part.waits]
    made = sum(part.status.num_traversals for part in served)
    return {
        "traversals_vs_fifo": made / sum(part.status.num_traversals_in_arrival_order for part in served),
        "traversals_vs_minimum": made / sum(part.minimum(max(waits)) for part in served),
        "traversals": made,
        "wait_ms_p50": float(np.percentile(waits, 50)) * 1e3,
        "wait_ms_p95": float(np.percentile(waits, 95)) * 1e3,
        "wait_ms_max": max(waits) * 1e3,
        "mean_batch_rows": len(waits) / sum(part.status.num_batches for part in served),
        "capacity_rows_per_second": float(np.median([round_.rows_per_second for round_ in rounds])),
        "load": float(np.mean([round_.load for round_ in rounds])),
        "engine_busy": sum(part.busy_seconds for part in served) / sum(part.seconds for part in served),
    }
