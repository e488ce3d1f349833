"""The picture of `switch` for the README."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

# The backend that needs no display must be chosen before pyplot is imported.
mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

_STYLES = {
    "peft_load_adapter": ("PEFT load_adapter", "#b3541e", "--"),
    "peft_set_adapter": ("PEFT set_adapter", "#b3541e", "-"),
    "install": ("AdapterMux install", "#1f6f8b", "--"),
    "traversal": ("AdapterMux traversal", "#1f6f8b", "-"),
}
_PIXELS_PER_INCH = 160


def draw(file: Path, counts: Sequence[int], series: Mapping[str, Sequence[float]]) -> None:
    """Draw ratios to the forward over the number of adapters, one line for each of `series`; says what it shows."""
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    for name, (label, colour, line) in _STYLES.items():
        axes.plot(counts, series[name], line, color=colour, marker="o", markersize=4)
        _write(axes, label, (counts[-1], series[name][-1]), (8, 0), colour)
    axes.axhline(1, color="#888888", linewidth=1)
    _write(axes, "one forward, 16 rows × 32 tokens", (counts[0], 1), (0, 7), "#666666")
    axes.set(xscale="log", yscale="log", xlim=(counts[0] * 0.9, counts[-1] * 4))
    axes.set_xticks(counts, [str(count) for count in counts], minor=False)
    axes.set_xticks([], minor=True)
    axes.set(xlabel="adapters loaded", ylabel="time, in forwards")
    axes.set_title(_finding(counts[-1], series), loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_PIXELS_PER_INCH)
    plt.close(figure)


def _write(axes: Axes, text: str, at: tuple[float, float], offset_points: tuple[float, float], colour: str) -> None:
    axes.annotate(text, at, offset_points, textcoords="offset points", va="center", fontsize=9, color=colour)


def _finding(count: int, series: Mapping[str, Sequence[float]]) -> str:
    return (
        f"With {count} adapters, PEFT's set_adapter takes {series['peft_set_adapter'][-1]:.1f} forwards;"
        f" in module trees of 16 a switch stays at {series['traversal'][-1]:.2f}"
    )
