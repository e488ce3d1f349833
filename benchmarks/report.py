"""What a benchmark measured, beside its targets and the environment that it ran in."""

import operator
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from rich.table import Table

Targets = Mapping[str, tuple[str, float]]
"""Metric → comparison ("<=" or ">=") and bound."""

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}
_LIBRARIES = ("torch", "transformers", "peft", "grpcio")
_CPU_INFO = Path("/proc/cpuinfo")


class Benchmark(Protocol):
    """What a benchmark's module must have."""

    TARGETS: Targets

    def run(self, quick: bool) -> dict[str, float]:
        """Measure; returns metrics by name. `quick`: fewer repetitions, the same metrics."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a benchmark gave."""

    name: str
    metrics: Mapping[str, float]
    targets: Targets

    @property
    def missed(self) -> tuple[str, ...]:
        """Metrics that miss their targets; NaN misses any. Raises KeyError if one with a target wasn't measured."""
        return tuple(name for name in self.targets if not self.meets(name))

    def meets(self, metric: str) -> bool:
        """Whether a metric that has a target meets it."""
        comparison, bound = self.targets[metric]
        return bool(_COMPARISONS[comparison](self.metrics[metric], bound))


def table(report: Report) -> Table:
    """The metrics for people to read, those with a target first."""
    result = Table("metric", title=report.name, title_justify="left")
    for heading in ("value", "target", "met?"):
        result.add_column(heading, justify="right")
    for name in sorted(report.metrics, key=lambda name: name not in report.targets):
        target, met = "", ""
        if name in report.targets:
            comparison, bound = report.targets[name]
            target, met = f"{comparison} {bound:g}", "yes" if report.meets(name) else "[bold red]NO[/]"
        result.add_row(name, f"{report.metrics[name]:.4g}", target, met)
    return result


def environment() -> dict[str, str | int | None]:
    """The machine by its kind and the versions used; nothing that names a host or a folder."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu_model": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def _cpu_model() -> str:
    lines = _CPU_INFO.read_text(encoding="utf-8").splitlines() if _CPU_INFO.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
