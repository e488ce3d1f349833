"""Where adapters are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import Tier, TierCounts


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
