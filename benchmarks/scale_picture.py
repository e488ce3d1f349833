"""The picture of `scale`."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

# The backend that needs no display must be chosen before pyplot is imported.
mpl.use("Agg")

import matplotlib.pyplot as plt

_COLOUR = "#1f6f8b"
_PIXELS_PER_INCH = 160


def draw(file: Path, shares: Mapping[int, float], bound: float) -> None:
    """Draw the throughput over the number of adapters in use.

    `shares`: of the throughput with one adapter, by that number; `bound`: their target.
    """
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    counts, values = list(shares), list(shares.values())
    axes.plot(counts, values, color=_COLOUR, marker="o")
    for count, value in shares.items():
        axes.annotate(f"{value:.2f}", (count, value), (0, 8), textcoords="offset points", ha="center", color=_COLOUR)
    axes.axhline(bound, color="#222222", linestyle="--", linewidth=1)
    axes.annotate("target", (counts[0], bound), (0, -12), textcoords="offset points", fontsize=9)
    axes.set(
        xscale="log", ylim=(0, 1.15), xlabel="adapters loaded and in use", ylabel="rows/s, as a share of that with one"
    )
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_title(
        f"With {counts[-1]:,} adapters in use, the bank keeps {values[-1]:.0%} of the throughput that it has with one"
        "\n(batches of 32 rows × 32 tokens, each row's adapter drawn at random)",
        loc="left",
        fontsize=11,
    )
    axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_PIXELS_PER_INCH)
    plt.close(figure)
