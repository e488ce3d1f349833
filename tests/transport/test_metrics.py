"""What Prometheus reads of the scheduler and of the tiers."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from adaptermux_server.metrics import SchedulerCollector, TierCollector, TierFigures
from adaptermux_server.types import Kernel, RowCounts, Tier, TierCounts
from tests.transport.builders import scheduler_status


def samples_of(collector: Collector) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


def scraped(**fields: Any) -> dict[str, float]:
    return samples_of(SchedulerCollector(lambda: scheduler_status(**fields)))


def test_counters_of_the_scheduler_have_these_names() -> None:
    samples = scraped(
        rows=RowCounts(answered=9),
        num_batches=5,
        num_batched_rows=9,
        num_batched_adapters=7,
        num_traversals=2,
        num_traversals_in_arrival_order=8,
    )

    assert samples.items() >= {
        ('adaptermux_rows_total{outcome="answered"}', 9),
        ("adaptermux_queued_rows", 0),
        ("adaptermux_batches_total", 5),
        ("adaptermux_batched_rows_total", 9),
        ("adaptermux_batched_adapters_total", 7),
        ("adaptermux_traversals_total", 2),
        ("adaptermux_arrival_order_traversals_total", 8),
    }


def test_forwards_are_counted_by_kernel_and_from_0() -> None:
    """A series that appears late would hide its first increase from a rate."""
    samples = scraped(forwards_by_kernel={Kernel.SEGMENTS: 3, Kernel.SWITCH: 1})

    counts = {kernel: samples[f'adaptermux_forwards_total{{kernel="{kernel.value}"}}'] for kernel in Kernel}
    assert {**dict.fromkeys(Kernel, 0), Kernel.SEGMENTS: 3, Kernel.SWITCH: 1} == counts


def test_figures_of_the_tiers_have_these_names() -> None:
    figures = TierFigures(
        adapters_by_tier={Tier.DEVICE: 3, Tier.HOST: 4, Tier.DISK: 5},
        counts=TierCounts(hits=6, host_misses=7, disk_misses=8, evictions=9, prefetches=10),
        device_bytes=11,
        host_bytes=12,
        store_bytes=13,
    )

    assert {
        'adaptermux_adapters{tier="device"}': 3,
        'adaptermux_adapters{tier="host"}': 4,
        'adaptermux_adapters{tier="disk"}': 5,
        'adaptermux_adapter_bytes{tier="device"}': 11,
        'adaptermux_adapter_bytes{tier="host"}': 12,
        'adaptermux_adapter_bytes{tier="disk"}': 13,
        'adaptermux_adapter_lookups_total{tier="device"}': 6,
        'adaptermux_adapter_lookups_total{tier="host"}': 7,
        'adaptermux_adapter_lookups_total{tier="disk"}': 8,
        "adaptermux_adapter_evictions_total": 9,
        "adaptermux_adapter_prefetches_total": 10,
    } == samples_of(TierCollector(lambda: figures))


def test_all_tiers_are_there_from_the_start() -> None:
    samples = samples_of(TierCollector(lambda: TierFigures({}, TierCounts(), 0, 0, 0)))

    assert [0.0] * 3 == [samples[f'adaptermux_adapters{{tier="{tier.value.lower()}"}}'] for tier in Tier]


def test_each_scrape_reads_once_and_anew() -> None:
    """Figures of one scrape belong to one moment."""
    hits = iter(range(100))
    collector = TierCollector(lambda: TierFigures({}, TierCounts(hits=next(hits)), 0, 0, 0))
    registry = CollectorRegistry(auto_describe=False)
    name = "adaptermux_adapter_lookups_total"

    registry.register(collector)
    first = registry.get_sample_value(name, {"tier": "device"})
    second = registry.get_sample_value(name, {"tier": "device"})

    assert (first or 0.0) + 1 == second
