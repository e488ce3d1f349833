"""Prometheus metrics: counted where things happen, or read from those who know when they are scraped."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import Kernel, SchedulerStatus, Tier, TierCounts

_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class RpcMetrics:
    """Calls by RPC and status code, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "adaptermux_rpc_seconds",
            "Time of a call in the server",
            ["rpc"],
            registry=registry,
            buckets=_SECONDS_BUCKETS,
        )
        self._calls = Counter("adaptermux_rpcs", "Calls by status code", ["rpc", "code"], registry=registry)

    def observe(self, rpc: str, code: str, seconds: float) -> None:
        """Count a call that has ended."""
        self._calls.labels(rpc, code).inc()
        self._seconds.labels(rpc).observe(seconds)


class SchedulerCollector(Collector):
    """Reads the scheduler's counters at each scrape, so that nothing is counted twice."""

    def __init__(self, read: Callable[[], SchedulerStatus]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        status = self._read()
        rows = CounterMetricFamily("adaptermux_rows", "Rows by how they ended", labels=["outcome"])
        for outcome, count in asdict(status.rows).items():
            rows.add_metric([outcome], count)
        yield rows
        yield GaugeMetricFamily("adaptermux_queued_rows", "Rows waiting", value=status.num_rows_queued)
        yield CounterMetricFamily("adaptermux_batches", "Forwards made", value=status.num_batches)
        yield CounterMetricFamily("adaptermux_batched_rows", "Rows in forwards", value=status.num_batched_rows)
        yield CounterMetricFamily(
            "adaptermux_batched_adapters",
            "Different adapters in each forward, added up",
            value=status.num_batched_adapters,
        )
        yield _forwards(status)
        yield CounterMetricFamily("adaptermux_traversals", "Traversals made", value=status.num_traversals)
        yield CounterMetricFamily(
            "adaptermux_arrival_order_traversals",
            "Traversals that serving row by row in the order of arrival would have made",
            value=status.num_traversals_in_arrival_order,
        )


@dataclass(frozen=True, slots=True)
class TierFigures:
    """Where adapters are at one moment, and what was moved so far."""

    adapters_by_tier: Mapping[Tier, int]
    """Those that serve."""
    counts: TierCounts
    device_bytes: int
    """Tensors of adapters in the engine."""
    host_bytes: int
    """Tensors in host memory of adapters that aren't in the engine."""
    store_bytes: int
    """Contents on the disk, whether an adapter serves them or not."""


class TierCollector(Collector):
    """Reads where adapters are at each scrape, so that nothing is counted twice."""

    def __init__(self, read: Callable[[], TierFigures]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        figures = self._read()
        counts = figures.counts
        yield _by_tier(
            "adaptermux_adapters",
            "Adapters by where they are",
            {tier: figures.adapters_by_tier.get(tier, 0) for tier in Tier},
        )
        yield _by_tier(
            "adaptermux_adapter_bytes",
            "Memory of adapters by tier; on the disk: of all contents in the store",
            {Tier.DEVICE: figures.device_bytes, Tier.HOST: figures.host_bytes, Tier.DISK: figures.store_bytes},
        )
        lookups = CounterMetricFamily(
            "adaptermux_adapter_lookups", "Adapters that requests asked for, by where they were", labels=["tier"]
        )
        found = {Tier.DEVICE: counts.hits, Tier.HOST: counts.host_misses, Tier.DISK: counts.disk_misses}
        for tier, count in found.items():
            lookups.add_metric([_label(tier)], count)
        yield lookups
        yield CounterMetricFamily(
            "adaptermux_adapter_evictions", "Adapters that left the engine to make room", value=counts.evictions
        )
        yield CounterMetricFamily(
            "adaptermux_adapter_prefetches", "Adapters brought up ahead of requests", value=counts.prefetches
        )


def _by_tier(name: str, text: str, figures: Mapping[Tier, int]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=["tier"])
    for tier, figure in figures.items():
        metric.add_metric([_label(tier)], figure)
    return metric


def _label(tier: Tier) -> str:
    return tier.value.lower()


def _forwards(status: SchedulerStatus) -> Metric:
    """All kernels from the start, so that a rate has a first value."""
    forwards = CounterMetricFamily(
        "adaptermux_forwards", "Forwards by how they added what adapters change", labels=["kernel"]
    )
    for kernel in Kernel:
        forwards.add_metric([kernel.value], status.forwards_by_kernel.get(kernel, 0))
    return forwards
