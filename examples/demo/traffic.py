"""Mixed traffic from several client processes, every answer compared with the one that the quiet server gave."""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from adaptermux_client import AdapterMuxClient, AdapterMuxClientError, AdminClient
from examples.demo.scenario import LATE_ADAPTER, LEAVING_ADAPTER, TEXTS, TRAFFIC_ADAPTERS

NUM_PROCESSES = 3
NUM_CALLERS = 8
NUM_REQUESTS = 400
"""Of each process."""
LOGIT_TOLERANCE = 1e-4

_TAGGERS = ("pos", "parse", "chunk")
_MOVING = (LATE_ADAPTER, LEAVING_ADAPTER)
_ABSENT = ("ADAPTER_NOT_FOUND", "ADAPTER_NOT_READY")

Key = tuple[str, int]
"""An adapter and the index of a text."""
Logits = tuple[float, ...]


@dataclass
class TrafficReport:
    """What all processes saw."""

    seconds: float = 0.0
    latencies: dict[str, list[float]] = field(default_factory=dict)
    """In seconds, of the answered requests, by adapter."""
    refused: Counter[str] = field(default_factory=Counter)
    """Requests for an adapter that wasn't there yet, or no more, by adapter."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """Other failures, by reason."""
    num_compared: int = 0
    num_wrong: int = 0

    def merge(self, other: "TrafficReport") -> None:
        """Add what another process saw."""
        for adapter, latencies in other.latencies.items():
            self.latencies.setdefault(adapter, []).extend(latencies)
        self.refused += other.refused
        self.unexpected += other.unexpected
        self.num_compared += other.num_compared
        self.num_wrong += other.num_wrong


def run_traffic(address: str, admin: AdminClient, late_folder: Path) -> TrafficReport:
    """Send the traffic; load one adapter and unload another once a third of it, and two thirds, are through."""
    with AdapterMuxClient(address) as client:
        admin.load_adapter(LATE_ADAPTER, late_folder)
        expected = all_logits(client)
        admin.unload_adapter(LATE_ADAPTER)
    # Spawned, not forked: a fork of a process that has used gRPC hangs.
    context = multiprocessing.get_context("spawn")
    progress = context.Semaphore(0)
    results = context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(address, seed, expected, progress, results))
        for seed in range(NUM_PROCESSES)
    ]
    report, started = TrafficReport(), time.perf_counter()
    for worker in workers:
        worker.start()
    _await(progress, NUM_PROCESSES * NUM_REQUESTS // 3)
    admin.load_adapter(LATE_ADAPTER, late_folder)
    _await(progress, NUM_PROCESSES * NUM_REQUESTS // 3)
    admin.unload_adapter(LEAVING_ADAPTER)
    for _ in workers:
        report.merge(results.get())
    report.seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return report


def all_logits(client: AdapterMuxClient) -> dict[Key, Logits]:
    """What the adapters of the traffic say of each text."""
    return {key: _logits(client, key) for key in _keys()}


def num_equal(left: dict[Key, Logits], right: dict[Key, Logits]) -> int:
    """How many answers agree, within a tolerance."""
    return sum(_equal(logits, right[key]) for key, logits in left.items())


def _keys() -> Iterable[Key]:
    return [(adapter, text) for adapter in TRAFFIC_ADAPTERS for text in range(len(TEXTS))]


def _await(progress: "multiprocessing.synchronize.Semaphore", count: int) -> None:
    for _ in range(count):
        progress.acquire()


def _work(
    address: str,
    seed: int,
    expected: dict[Key, Logits],
    progress: "multiprocessing.synchronize.Semaphore",
    results: "multiprocessing.SimpleQueue[TrafficReport]",
) -> None:
    """One client process: a fixed number of callers that each wait for their answer before they ask again."""
    chooser = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(TRAFFIC_ADAPTERS))]
    adapters = chooser.choices(TRAFFIC_ADAPTERS, weights, k=NUM_REQUESTS)
    keys = [(adapter, chooser.randrange(len(TEXTS))) for adapter in adapters]
    report = TrafficReport()
    with AdapterMuxClient(address) as client, ThreadPoolExecutor(NUM_CALLERS) as callers:
        for one in callers.map(lambda key: _ask(client, key, expected[key], progress), keys):
            report.merge(one)
    results.put(report)


def _ask(
    client: AdapterMuxClient, key: Key, expected: Logits, progress: "multiprocessing.synchronize.Semaphore"
) -> TrafficReport:
    adapter, started = key[0], time.perf_counter()
    try:
        logits = _logits(client, key)
    except AdapterMuxClientError as error:
        if adapter in _MOVING and error.reason in _ABSENT:
            return TrafficReport(refused=Counter([adapter]))
        return TrafficReport(unexpected=Counter([error.reason or error.code.name]))
    finally:
        progress.release()
    latency = time.perf_counter() - started
    return TrafficReport(latencies={adapter: [latency]}, num_compared=1, num_wrong=int(not _equal(logits, expected)))


def _logits(client: AdapterMuxClient, key: Key) -> Logits:
    adapter, text = key[0], TEXTS[key[1]]
    if adapter in _TAGGERS:
        tags = client.tag(adapter, text, return_logits=True)[0].tags
        return tuple(logit for tag in tags for logit in tag.logits)
    return client.classify(adapter, text, return_logits=True)[0].logits


def _equal(left: Sequence[float], right: Sequence[float]) -> bool:
    return len(left) == len(right) and all(abs(a - b) <= LOGIT_TOLERANCE for a, b in zip(left, right, strict=True))
