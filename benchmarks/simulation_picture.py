"""The picture of `simulation` for the README."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STYLES: dict[str, dict[str, Any]] = {
    "FIFO": {"color": "#999999", "marker": "s"},
    "grouped": {"color": "#e08214", "marker": "^", "markersize": 9},
    "grouped + fairness": {"color": "#2166ac", "marker": "o"},
    "bank": {"color": "#1b7837", "marker": "D", "markersize": 5},
    "minimum": {"color": "black", "linestyle": ":"},
}


def draw(
    file: Path,
    loads: Sequence[float],
    traversals: Mapping[str, Sequence[float]],
    waits: Mapping[str, Sequence[float]],
) -> None:
    """Draw traversals a row over the load, and seconds that adapters wait under a flood; one line for each name."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_lines(left, loads, traversals)
    left.set(title="Traversals per row", xlabel="load", ylim=(0, 1))
    adapters = range(1, len(next(iter(waits.values()))) + 1)
    _draw_lines(right, adapters, waits)
    right.set(title="p99 wait in seconds while adapter 1 floods", xlabel="adapter, by popularity")
    right.set(ylim=(0, None), xticks=adapters[::3])
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)


def _draw_lines(axes: Axes, x: Sequence[float], series: Mapping[str, Sequence[float]]) -> None:
    for label, values in series.items():
        axes.plot(list(x), values, label=label, **_STYLES[label])
    axes.legend(frameon=False)
