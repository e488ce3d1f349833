"""Forwards as the scheduler records them, and what Prometheus reads of a registry."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adaptermux_server.metrics import ChangeMetrics, Figures, GatewayFigures, Instruments, TierFigures, assemble
from adaptermux_server.types import BatchRecord, Kernel, RowRecord, SchedulerStatus, TierCounts
from tests.transport.builders import scheduler_status

Sample = tuple[str, frozenset[tuple[str, str]]]


def forward(
    adapters: Iterable[str],
    kernel: Kernel | None = Kernel.GATHERED,
    *,
    num_tokens: int | Sequence[int] = 10,
    started_at: float = 100.0,
    queue_seconds: float = 0.02,
    seconds: float = 0.4,
    traversal_seconds: float = 0.0,
) -> BatchRecord:
    """A forward of one row for each of `adapters`; `num_tokens`: of each row, or of all."""
    adapters = tuple(adapters)
    lengths = [num_tokens] * len(adapters) if isinstance(num_tokens, int) else num_tokens
    rows = [RowRecord(adapter, length, queue_seconds, "") for adapter, length in zip(adapters, lengths, strict=True)]
    return BatchRecord(tuple(rows), started_at, traversal_seconds, seconds, kernel, max(lengths) * len(rows))


def instruments(
    scheduler: Callable[[], SchedulerStatus] = scheduler_status,
    gateway: GatewayFigures | None = None,
    is_stalled: Callable[[], bool] | None = None,
    num_text_characters: Callable[[], int] | None = None,
    max_adapters: int = 100,
) -> Instruments:
    """All metrics, of a server that does nothing."""
    nothing = TierFigures({}, TierCounts(), device_bytes=0, host_bytes=0, store_bytes=0)
    nowhere = GatewayFigures((), (), None)
    figures = Figures(scheduler, lambda: nothing, lambda: gateway or nowhere, is_stalled, num_text_characters)
    return assemble(figures, ChangeMetrics(), max_adapters=max_adapters)


def scraped(registry: CollectorRegistry) -> dict[Sample, float]:
    """All samples of a scrape, parsed as Prometheus would; each may come only once."""
    samples: dict[Sample, float] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{key} comes twice"
            samples[key] = sample.value
    return samples


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One sample of a scrape; None: it isn't there."""
    return scraped(registry).get((name, frozenset(labels.items())))


def by_label(registry: CollectorRegistry, name: str, label: str) -> dict[str, float]:
    """The values of a metric with a single label that aren't 0."""
    found = {dict(labels)[label]: value for (each, labels), value in scraped(registry).items() if each == name}
    return {key: value for key, value in found.items() if value}
