"""What Prometheus reads of the scheduler."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from adaptermux_server.metrics import SchedulerCollector
from adaptermux_server.types import Kernel, RowCounts
from tests.transport.builders import scheduler_status


def scraped(**fields: Any) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(SchedulerCollector(lambda: scheduler_status(**fields)))
    lines = generate_latest(registry).decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


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
