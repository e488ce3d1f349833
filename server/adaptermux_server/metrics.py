"""Prometheus metrics: counted where things happen, or read from the scheduler when they are scraped."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import Kernel, SchedulerStatus

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


def _forwards(status: SchedulerStatus) -> Metric:
    """All kernels from the start, so that a rate has a first value."""
    forwards = CounterMetricFamily(
        "adaptermux_forwards", "Forwards by how they added what adapters change", labels=["kernel"]
    )
    for kernel in Kernel:
        forwards.add_metric([kernel.value], status.forwards_by_kernel.get(kernel, 0))
    return forwards
