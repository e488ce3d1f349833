"""The scheduler's policy under heavy-tailed traffic, against arrival order and against the offline minimum.

A discrete-event simulation around the real `Policy`: time jumps from batch to batch, an engine of known costs takes the
place of the model, and one adapter at a time is active. No model is needed, so it runs anywhere in seconds.

Traffic: adapters by Zipf's law (exponent 1.1), gaps between arrivals and lengths of rows log-normal, open loop. Load 1
is what the engine computes in batches from one long queue, without any traversal. Compared are

- FIFO: arrival order; neighbours of the same adapter share a batch.
- grouped: the policy with neither wait bound nor turns: exhaust an adapter, then go where a row has waited longest.
- grouped + fairness: the policy as served.
- bank: the policy as served, where all adapters are in the bank: nothing is ever switched.
- minimum: for each adapter alone, the fewest visits at which no row would wait longer than the longest wait of the
  served policy's own run (`bounds.minimum_visits`).

The picture shows traversals over load, and each adapter's slowest waits while the first one floods the server.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.packing import pack, split
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind
from benchmarks import simulation_picture
from benchmarks.bounds import minimum_visits

TARGETS: dict[str, tuple[str, float]] = {
    "traversals_vs_fifo": ("<=", 0.15),
    "traversals_vs_minimum": ("<=", 1.6),
    "flood_p99_vs_grouped": ("<=", 0.5),
    "bank_flood_p99_vs_calm": ("<=", 4.0),
}

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "scheduler-simulation.png"

_COSTS = {"traversal_seconds": 14e-3, "batch_seconds": 6e-3, "token_seconds": 0.19e-3}
"""MiniLM-L6 on one core: a short row alone takes about 9 ms, in a batch about 4 ms; 16 adapters share a module tree."""
_NUM_ADAPTERS = 16
_LOADS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
_TARGET_LOAD = 0.8
_CALM_LOAD = 0.5
"""Beside the flood; one of the loads above."""
_SERVED = SchedulerSettings()
_UNBOUNDED = SchedulerSettings(max_wait_seconds=1e9, max_turn_seconds=1e9)
_FLOOD_ROWS = 1500
_LABELS = {"fifo": "FIFO", "grouped": "grouped", "served": "grouped + fairness", "bank": "bank"}


def run(quick: bool) -> dict[str, float]:
    """Simulate, print the tables and draw the picture; the metrics are medians over the seeds, at 80 % load."""
    num_rows, seeds = (1000, range(3)) if quick else (2000, range(9))
    steady = {load: [_compare(partial(traffic, num_rows, load, seed)) for seed in seeds] for load in _LOADS}
    floods = [_compare(partial(_flooded, num_rows, seed)) for seed in seeds]
    _print_table(f"steady traffic at {_TARGET_LOAD:.0%} load", steady[_TARGET_LOAD])
    _print_table(f"{_CALM_LOAD:.0%} load, and one adapter floods", floods)
    _draw(steady, floods)
    target = steady[_TARGET_LOAD]
    pairs = zip(floods, steady[_CALM_LOAD], strict=True)
    return {
        "traversals_vs_fifo": _median([run.served.num_traversals / run.fifo.num_traversals for run in target]),
        "traversals_vs_minimum": _median([run.served.num_traversals / run.served.minimum() for run in target]),
        "longest_wait_seconds": _median([run.served.wait(100) for run in target]),
        "flood_p99_vs_grouped": _median([_others_p99(run.served) / _others_p99(run.grouped) for run in floods]),
        "bank_flood_p99_vs_calm": _median([_others_p99(run.bank) / _others_p99(calm.bank) for run, calm in pairs]),
    }


@dataclass(eq=False, slots=True)
class SimulatedRow:
    """One row, with what became of it."""

    slot: int
    num_tokens: int
    arrives_at: float
    deadline: Deadline = field(default_factory=Deadline)
    enqueued_at: float = 0.0
    wait_seconds: float = 0.0
    """From its arrival to the start of its batch."""


Batch = tuple[int, Sequence[SimulatedRow]]
"""A lane, which is to be active unless it is the bank's, and rows of it."""


class Server(Protocol):
    """Something that takes rows and makes batches; the policy, or a rival."""

    def arrive(self, row: SimulatedRow) -> None:
        """Take a row in."""

    def next_batch(self, now: float) -> Batch:
        """The next batch; no rows where nothing waits."""

    def done(self, lane: int, compute_seconds: float) -> None:
        """The batch was computed."""


class GroupedServer:
    """The real policy, which knows the true costs."""

    def __init__(self, settings: SchedulerSettings, executor: ExecutorKind = ExecutorKind.SWITCH) -> None:
        self._policy: Policy[SimulatedRow] = Policy(settings, CostModel(**_COSTS))
        for slot in range(1, _NUM_ADAPTERS + 1):
            self._policy.configure_slot(slot, 1.0, None, executor)

    def arrive(self, row: SimulatedRow) -> None:
        """Queue a row."""
        self._policy.queues.append(row, row.arrives_at)

    def next_batch(self, now: float) -> Batch:
        """Let the policy decide."""
        decision = self._policy.next_batch(now)
        return decision.lane, decision.rows

    def done(self, lane: int, compute_seconds: float) -> None:
        """Tell the policy."""
        self._policy.batch_done(lane, compute_seconds, frozenset({BASE_SLOT, lane}))


class FifoServer:
    """Arrival order: the rows at the front that belong to one adapter make a batch."""

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._rows: deque[SimulatedRow] = deque()

    def arrive(self, row: SimulatedRow) -> None:
        """Queue a row."""
        self._rows.append(row)

    def next_batch(self, now: float) -> Batch:
        """Take the neighbours at the front."""
        rows: list[SimulatedRow] = []
        while self._rows and len(rows) < self._max_rows and self._rows[0].slot == (rows or self._rows)[0].slot:
            rows.append(self._rows.popleft())
        return rows[0].slot if rows else BASE_SLOT, rows

    def done(self, lane: int, compute_seconds: float) -> None:
        """Nothing to learn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave."""

    num_traversals: int
    rows: Sequence[SimulatedRow]

    def wait(self, percentile: float) -> float:
        """A percentile of all waits, in seconds."""
        return float(np.percentile([row.wait_seconds for row in self.rows], percentile))

    def wait_by_slot(self, percentile: float) -> dict[int, float]:
        """A percentile of each adapter's waits, in seconds."""
        return {
            slot: float(np.percentile([row.wait_seconds for row in self.rows if row.slot == slot], percentile))
            for slot in sorted({row.slot for row in self.rows})
        }

    def minimum(self) -> int:
        """The fewest visits that keep this run's longest wait."""
        arrivals: dict[int, list[float]] = {}
        for row in self.rows:
            arrivals.setdefault(row.slot, []).append(row.arrives_at)
        return minimum_visits(arrivals, self.wait(100))


def simulate(server: Server, rows: Sequence[SimulatedRow]) -> Outcome:
    """Serve rows that are sorted by arrival; sets their waits."""
    now, arrived, active, num_traversals = 0.0, 0, BASE_SLOT, 0
    while True:
        while arrived < len(rows) and rows[arrived].arrives_at <= now:
            server.arrive(rows[arrived])
            arrived += 1
        lane, batch = server.next_batch(now)
        if batch:
            for row in batch:
                row.wait_seconds = now - row.arrives_at
            if lane not in (BASE_SLOT, active):
                active, num_traversals, now = lane, num_traversals + 1, now + _COSTS["traversal_seconds"]
            seconds = _batch_seconds(batch)
            now += seconds
            server.done(lane, seconds)
        elif arrived < len(rows):
            now = rows[arrived].arrives_at
        else:
            return Outcome(num_traversals, rows)


def traffic(num_rows: int, load: float, seed: int) -> list[SimulatedRow]:
    """Heavy-tailed traffic, sorted by arrival."""
    random = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, _NUM_ADAPTERS + 1) ** 1.1
    slots = random.choice(np.arange(1, _NUM_ADAPTERS + 1), num_rows, p=popularity / popularity.sum())
    lengths = np.clip(random.lognormal(np.log(14), 0.4, num_rows), 3, 128).astype(int)
    gaps = random.lognormal(0, 1.2, num_rows)
    arrivals = np.cumsum(gaps) * (_backlog_seconds(lengths) / gaps.sum() / load)
    return [SimulatedRow(int(slot), int(n), float(at)) for slot, n, at in zip(slots, lengths, arrivals, strict=True)]


def _backlog_seconds(lengths: Iterable[int]) -> float:
    """What the engine takes for rows of one adapter that all wait at the start."""
    backlog = deque(SimulatedRow(1, int(length), 0.0) for length in lengths)
    limits, seconds = SchedulerSettings().batch_limits, 0.0
    while backlog:
        seconds += _batch_seconds([backlog.popleft() for _ in range(pack(backlog, limits, CostModel(**_COSTS), 0.0))])
    return seconds


def _batch_seconds(rows: Sequence[SimulatedRow]) -> float:
    """What the engine takes for a batch whose rows of like length share forwards."""
    lengths, costs = [row.num_tokens for row in rows], CostModel(**_COSTS)
    forwards = split(lengths, SchedulerSettings().batch_limits, costs)
    return sum(costs.batch(max(lengths[i] for i in forward) * len(forward)) for forward in forwards)


def _flooded(num_rows: int, seed: int) -> list[SimulatedRow]:
    """Traffic at half load, while the first adapter sends a flood within about a second."""
    calm = traffic(num_rows, _CALM_LOAD, seed)
    start = calm[len(calm) // 4].arrives_at
    flood = [SimulatedRow(1, 14, start + index / _FLOOD_ROWS) for index in range(_FLOOD_ROWS)]
    return sorted(calm + flood, key=lambda row: row.arrives_at)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same traffic, served in four ways."""

    fifo: Outcome
    grouped: Outcome
    served: Outcome
    bank: Outcome


def _compare(make_rows: Callable[[], list[SimulatedRow]]) -> Comparison:
    return Comparison(
        fifo=simulate(FifoServer(_SERVED.max_batch_rows), make_rows()),
        grouped=simulate(GroupedServer(_UNBOUNDED), make_rows()),
        served=simulate(GroupedServer(_SERVED), make_rows()),
        bank=simulate(GroupedServer(_SERVED, ExecutorKind.BANK), make_rows()),
    )


def _others_p99(outcome: Outcome) -> float:
    """The slowest waits of the worst adapter that doesn't flood."""
    return max(wait for slot, wait in outcome.wait_by_slot(99).items() if slot != 1)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _print_table(title: str, runs: Sequence[Comparison]) -> None:
    print(f"\n{title} (waits in ms)")
    print(f"{'':20}{'traversals':>11}{'vs FIFO':>9}{'vs min.':>9}{'p50':>8}{'p99':>8}{'max':>8}{'worst p99':>11}")
    for name, label in _LABELS.items():
        pairs = [(getattr(run, name), run.fifo.num_traversals) for run in runs]
        columns = np.median([_columns(outcome, fifo) for outcome, fifo in pairs], axis=0)
        print(f"{label:20}{{:11.0f}}{{:9.2f}}{{:9.2f}}{{:8.0f}}{{:8.0f}}{{:8.0f}}{{:11.0f}}".format(*columns))


def _columns(outcome: Outcome, fifo_traversals: int) -> list[float]:
    traversals = outcome.num_traversals
    waits = [outcome.wait(50), outcome.wait(99), outcome.wait(100), _others_p99(outcome)]
    return [traversals, traversals / fifo_traversals, traversals / outcome.minimum(), *(1000 * wait for wait in waits)]


def _draw(steady: Mapping[float, Sequence[Comparison]], floods: Sequence[Comparison]) -> None:
    """The bank makes no traversals, so it has no line among them."""
    traversals = {
        label: [
            _median([getattr(run, name).num_traversals / len(run.fifo.rows) for run in runs])
            for runs in steady.values()
        ]
        for name, label in _LABELS.items()
        if name != "bank"
    }
    traversals["minimum"] = [
        _median([run.served.minimum() / len(run.fifo.rows) for run in runs]) for runs in steady.values()
    ]
    waits = {label: _p99_by_adapter([getattr(run, name) for run in floods]) for name, label in _LABELS.items()}
    simulation_picture.draw(PICTURE, list(steady), traversals, waits)


def _p99_by_adapter(outcomes: Sequence[Outcome]) -> list[float]:
    by_slot = [outcome.wait_by_slot(99) for outcome in outcomes]
    return [_median([waits[slot] for waits in by_slot if slot in waits]) for slot in range(1, _NUM_ADAPTERS + 1)]
