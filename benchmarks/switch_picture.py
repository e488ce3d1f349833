"""The picture of `switch` for the README."""

import math
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
_LEAST_RATIO = 1e-3
"""Less is nothing, which has no place on a logarithmic axis: a lone adapter needs no traversal."""


def draw(file: Path, counts: Sequence[int], series: Mapping[str, Sequence[float]]) -> None:
    """Draw ratios to the forward over the number of adapters, one line for each of `series`; says what it shows."""
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    for name, (label, colour, line) in _STYLES.items():
        drawn = [ratio if ratio > _LEAST_RATIO else math.nan for ratio in series[name]]
        axes.plot(counts, drawn, line, color=colour, marker="o", markersize=4)
        _write(axes, label, (counts[-1], series[name][-1]), (8, 0), colour)
    axes.plot((counts[0], counts[-1]), (1, 1), color="#888888", linewidth=1)
    _write(axes, "one forward, 16 rows × 32 tokens", (counts[0], 1), (0, 7), "#666666")
    axes.set(xscale="log", yscale="log", xlim=(counts[0] * 0.9, counts[-1] * 5))
    axes.set_xticks(counts, [str(count) for count in counts], minor=False)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="adapters loaded", ylabel="time, in forwards")
    axes.set_title(_finding(counts[-1], series), loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_PIXELS_PER_INCH)
    plt.close(figure)


def _write(axes: Axes, text: str, at: tuple[float, float], offset_points: tuple[float, float], colour: str) -> None:
    axes.annotate(text, at, offset_points, textcoords="offset points", va="center", fontsize=9, color=colour)


def _finding(count: int, series: Mapping[str, Sequence[float]]) -> str:
    last = {name: ratios[-1] for name, ratios in series.items()}
    return (
        f"With {count} adapters in one PEFT model, a switch takes {last['peft_set_adapter']:.2f} forwards and a load"
        f" {last['peft_load_adapter']:.1f}.\nIn module trees of 16, as AdapterMux has them outside of the bank, it is"
        f" {last['traversal']:.2f} and {last['install']:.2f}."
    )
