"""What routers that know of adapters read of a model server, under the names that they look for.

The endpoint picker of the Kubernetes Gateway API inference extension and its kin prefer a server that has an adapter in
memory already. They read the names of vLLM by default. No name for the use of a KV cache is here: there is none.

The series of adapters carries lists as labels, and so is another with every change: it is made anew at each scrape, and
nothing of earlier ones stays.

Source: gateway-api-inference-extension, docs/proposals/003-model-server-protocol; pkg/epp/.../metrics/extractor.go
splits the lists at commas, trims, reads `max_lora` as an integer, and takes a single series.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import SchedulerStatus

NO_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """Where adapters are for a router."""

    running: Collection[str]
    """Ids of those in the engine: a request for one waits for no load."""
    waiting: Collection[str]
    """Ids of those that requests wait for to come up."""
    max_adapters: int | None
    """Room in the engine; None: no limit of their number."""


class GatewayCollector(Collector):
    """Reads where adapters and rows are at each scrape."""

    def __init__(
        self,
        read_scheduler: Callable[[], SchedulerStatus],
        read: Callable[[], GatewayFigures],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock`: seconds since the epoch."""
        self._read_scheduler, self._read, self._clock = read_scheduler, read, clock

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        yield from _requests(self._read_scheduler())
        yield _adapters(self._read(), self._clock())


def _requests(status: SchedulerStatus) -> Iterator[Metric]:
    rows = status.rows
    num_present = rows.accepted - rows.answered - rows.failed - rows.cancelled - rows.expired
    num_waiting = status.num_rows_queued
    yield GaugeMetricFamily(
        "vllm:num_requests_running", "For routers: rows being computed", value=max(0, num_present - num_waiting)
    )
    yield GaugeMetricFamily("vllm:num_requests_waiting", "For routers: rows waiting", value=num_waiting)


def _adapters(figures: GatewayFigures, now: float) -> Metric:
    metric = GaugeMetricFamily(
        "vllm:lora_requests_info",
        "For routers: adapters in the engine, adapters that requests wait for, and room; the value is the present time",
        labels=["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    )
    limit = NO_LIMIT if figures.max_adapters is None else figures.max_adapters
    metric.add_metric([str(limit), ",".join(sorted(figures.running)), ",".join(sorted(figures.waiting))], now)
    return metric
