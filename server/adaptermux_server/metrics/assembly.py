"""All metrics in one registry."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from adaptermux_server.metrics.changes import ChangeMetrics
from adaptermux_server.metrics.forwards import ForwardMetrics
from adaptermux_server.metrics.gateway import GatewayCollector, GatewayFigures
from adaptermux_server.metrics.health import HealthCollector
from adaptermux_server.metrics.per_adapter import DEFAULT_MAX_ADAPTERS, AdapterCollector
from adaptermux_server.metrics.rpcs import RpcMetrics
from adaptermux_server.metrics.scheduling import SchedulerCollector
from adaptermux_server.metrics.tiers import TierCollector, TierFigures
from adaptermux_server.types import BatchRecord, SchedulerStatus


@dataclass(frozen=True, slots=True)
class Figures:
    """Where to read what others count; each is called at every scrape, in the thread that scrapes."""

    scheduler: Callable[[], SchedulerStatus]
    tiers: Callable[[], TierFigures]
    gateway: Callable[[], GatewayFigures]
    is_stalled: Callable[[], bool] | None = None
    """Whether the engine's command takes too long; None: nobody watches."""
    num_text_characters: Callable[[], int] | None = None
    """Of texts that wait to be tokenised; None: nobody counts."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """The registry, and those of its metrics that are told what happens."""

    registry: CollectorRegistry
    rpcs: RpcMetrics
    forwards: ForwardMetrics
    adapters: AdapterCollector

    def observe_forward(self, batch: BatchRecord) -> None:
        """Count a forward that has ended."""
        self.forwards.observe(batch)
        self.adapters.observe(batch)


def assemble(figures: Figures, changes: ChangeMetrics, *, max_adapters: int = DEFAULT_MAX_ADAPTERS) -> Instruments:
    """Make a registry of all metrics, those of the process included. `max_adapters`: named in metrics by adapter."""
    registry = CollectorRegistry()
    adapters = AdapterCollector(max_adapters)
    for collector in (
        SchedulerCollector(figures.scheduler),
        TierCollector(figures.tiers),
        HealthCollector(figures.is_stalled, figures.num_text_characters),
        GatewayCollector(figures.scheduler, figures.gateway),
        changes,
        adapters,
    ):
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return Instruments(registry, RpcMetrics(registry), ForwardMetrics(registry), adapters)
