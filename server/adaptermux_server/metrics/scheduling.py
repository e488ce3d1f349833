"""What the scheduler counts itself."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import Kernel, SchedulerStatus


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
