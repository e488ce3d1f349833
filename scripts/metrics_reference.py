"""The reference of metrics: read from a registry in which each of them has been used once."""

from collections.abc import Iterator
from contextlib import suppress

from prometheus_client.core import Metric

from adaptermux_server.errors import QueueFullError
from adaptermux_server.metrics import (
    ChangeMetrics,
    Figures,
    GatewayFigures,
    Instruments,
    TierFigures,
    assemble,
)
from adaptermux_server.types import (
    BatchRecord,
    CostEstimates,
    Kernel,
    RowCounts,
    RowRecord,
    SchedulerStatus,
    TierCounts,
)

_OF_THE_PROCESS = ("process_", "python_")
_OPEN_LABELS = {"rpc", "code", "reason", "adapter", "max_lora", "running_lora_adapters", "waiting_lora_adapters"}
"""Those whose values no list could name."""


def metrics_reference() -> str:
    """A table of all metrics but those of the process, in the order of their names."""
    families = sorted(used().registry.collect(), key=lambda family: family.name)
    rows = [_row(family) for family in families if not family.name.startswith(_OF_THE_PROCESS)]
    return f"| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n{''.join(rows)}"


def used() -> Instruments:
    """All metrics, each labelled one with at least one sample."""
    changes = ChangeMetrics()
    with suppress(QueueFullError), changes.load(lambda: None):
        raise QueueFullError("", 0, 0.0)
    instruments = assemble(Figures(_nothing_done, _nothing_there, _no_adapters, lambda: False, lambda: 0), changes)
    instruments.rpcs.observe("Classify", "OK", 0.1)
    instruments.observe_forward(BatchRecord((RowRecord("a", 1, 0.0, ""),), 0.0, 0.0, 0.0, Kernel.UNIFORM, 1))
    return instruments


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    cells = [f"`{name}`", family.type, ", ".join(_labels(family)), family.documentation]
    return f"| {' | '.join(cells)} |\n"


def _labels(family: Metric) -> Iterator[str]:
    """Each label, with its values if they are few and known."""
    for label in sorted({label for sample in family.samples for label in sample.labels} - {"le"}):
        values = dict.fromkeys(sample.labels[label] for sample in family.samples if label in sample.labels)
        yield f"`{label}`" if label in _OPEN_LABELS else f"`{label}`: {' '.join(values)}"


def _nothing_done() -> SchedulerStatus:
    return SchedulerStatus((), RowCounts(), 0, 0, 0, 0, 0, {}, CostEstimates(0.0, 0.0, 0.0))


def _nothing_there() -> TierFigures:
    return TierFigures({}, TierCounts(), device_bytes=0, host_bytes=0, store_bytes=0)


def _no_adapters() -> GatewayFigures:
    return GatewayFigures((), (), None)
