"""The picture of `mixed`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

# The backend that needs no display must be chosen before pyplot is imported.
mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

_STYLES = {
    "": ("AdapterMux", "#1f6f8b"),
    "latefuse_": ("LateFuse", "#7a9e3a"),
    "peft_": ("PEFT", "#b3541e"),
}
_SHAPES = {
    "uniform": "16 rows of\none adapter",
    "mixed_16x16": "16 rows of\n16 adapters",
    "single_row": "one row",
}
_VARIANTS = {
    "mixed_16x16_t16": "16\ntokens",
    "mixed_16x16_t128": "128\ntokens",
    "mixed_16x16_r64": "rank 64",
    "mixed_16x16_qv": "query,\nvalue",
    "mixed_16x16_qkv": "query,\nkey, value",
    "mixed_16x16_dora": "DoRA",
    "mixed_16x16_ia3": "IA3",
    "mixed_16x16_methods": "LoRA, DoRA,\nIA3, base",
}
_PIXELS_PER_INCH = 160
_BOX = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
_BAR = 0.27
_TOP = 2.5
"""Higher bars are cut, and say how high they are."""


def draw(file: Path, metrics: Mapping[str, float], bounds: Mapping[str, float]) -> None:
    """Draw ratios to the bare forward: what has a target on the left, variants on the right. What wasn't measured is
    left out. `bounds`: targets by metric.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 4.4), layout="constrained", sharey=True, width_ratios=(3, 8)
    )
    for axes, groups in ((left, _SHAPES), (right, _VARIANTS)):
        _draw_groups(axes, groups, metrics, bounds)
    highest = max(
        metrics[prefix + name] for prefix in _STYLES for name in _SHAPES | _VARIANTS if prefix + name in metrics
    )
    left.set(ylim=(1, min(_TOP, highest + 0.2)), ylabel="time, in bare forwards of the base")
    left.set_title("LoRA of rank 8 on all linear\nlayers, 32 tokens", loc="left", fontsize=10)
    right.set_title("16 rows of 16 adapters as on the left, but with …", loc="left", fontsize=10)
    _add_legend(right)
    figure.suptitle(
        f"One forward for 16 adapters takes {metrics['mixed_16x16']:.2f} times as long as the base alone"
        f" (in PEFT {metrics['peft_mixed_16x16']:.1f} times)",
        x=0.01,
        ha="left",
        fontsize=12,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=_PIXELS_PER_INCH)
    plt.close(figure)


def _draw_groups(
    axes: Axes, groups: Mapping[str, str], metrics: Mapping[str, float], bounds: Mapping[str, float]
) -> None:
    for place, name in enumerate(groups):
        bars = [(prefix, metrics[prefix + name]) for prefix in _STYLES if prefix + name in metrics]
        _draw_bars(axes, place, bars)
        if name in bounds:
            axes.plot((place - 0.42, place + 0.42), (bounds[name],) * 2, "--", color="#222222", linewidth=1)
    axes.set_xticks(range(len(groups)), list(groups.values()), fontsize=9)
    axes.tick_params(axis="x", length=0)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bars(axes: Axes, place: int, bars: Sequence[tuple[str, float]]) -> None:
    first = place - _BAR * (len(bars) - 1) / 2
    for number, (prefix, ratio) in enumerate(bars):
        x, height = first + number * _BAR, min(ratio, _TOP - 0.1)
        axes.bar(x, height - 1, _BAR * 0.92, bottom=1, color=_STYLES[prefix][1])
        axes.text(x, max(height, 1) + 0.02, f"{ratio:.2f}", ha="center", fontsize=7, bbox=_BOX, zorder=3)


def _add_legend(axes: Axes) -> None:
    for label, colour in _STYLES.values():
        axes.bar(0, 0, bottom=1, color=colour, label=label)
    axes.plot([], [], "--", color="#222222", linewidth=1, label="target")
    axes.legend(loc="upper right", frameon=False, fontsize=9, ncols=4)
