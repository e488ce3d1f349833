"""Throughput and memory of the bank by the number of adapters that are loaded and in use.

Batches of 32 rows × 32 tokens, each row's adapter drawn uniformly from all, computed by the engine's executor with
everything that belongs to it: the inputs made, the forward, the heads, the values copied out. `share_of_one_…` is the
throughput as a share of that with a single adapter, measured right beside it; one computing thread; medians.

Memory, with 1,024 adapters: `bytes_over_ideal` compares what the engine counts (the base, all adapters' tensors as the
bank keeps them, its workspace) with the base and the adapters' own tensors; `rss_per_adapter_over_ideal` compares what
the process grew by, per adapter, with an adapter's tensors.
"""

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.backbone import Backbone, load_backbone
from benchmarks.adapters import BASE_FOLDER, save_adapters
from benchmarks.engines import OpenBank, plan, sequence
from benchmarks.pairs import Work, medians, paired_ratios, seconds_of
from benchmarks.scale_picture import draw

TARGETS: dict[str, tuple[str, float]] = {
    "flat_1024": (">=", 0.9),
    "bytes_over_ideal": ("<=", 1.15),
}

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "bank-scale.png"

_COUNTS = (1, 16, 256, 1024)
_MOST = _COUNTS[-1]
_NUM_ROWS, _NUM_TOKENS = 32, 32
_NUM_SAVED = 16


def run(quick: bool) -> dict[str, float]:
    """Measure, and draw the picture; `quick`: fewer rounds, and no picture."""
    with TemporaryDirectory() as folder:
        metrics = asyncio.run(_measure(Path(folder), 5 if quick else 40))
    if not quick:
        shares = {count: metrics[f"share_of_one_{count}"] for count in _COUNTS[1:]}
        draw(PICTURE, {1: 1.0} | shares, TARGETS["flat_1024"][1])
    return metrics


async def _measure(folder: Path, num_rounds: int) -> dict[str, float]:
    saved = list(save_adapters(folder, _NUM_SAVED).values())
    backbone = load_backbone(str(BASE_FOLDER))
    banks = {count: OpenBank(backbone) for count in _COUNTS}
    grown_bytes = {count: _install(bank, saved, count) for count, bank in banks.items()}
    works = {count: _batches(bank, count) for count, bank in banks.items()}
    ratios = medians(paired_ratios(works[1], {str(count): works[count] for count in _COUNTS[1:]}, num_rounds))
    cpu_seconds = float(np.median([seconds_of(works[_MOST]) for _ in range(num_rounds)]))
    return {
        "flat_1024": 1 / ratios[str(_MOST)],
        **{f"share_of_one_{count}": 1 / ratios[str(count)] for count in _COUNTS[1:]},
        "rows_per_cpu_second_1024": _NUM_ROWS / cpu_seconds,
        **memory_metrics(backbone, banks[_MOST], saved[0], grown_bytes[_MOST]),
    }


def _install(bank: OpenBank, folders: Sequence[Path], count: int) -> int:
    """Returns by how many bytes the process grew."""
    before = _resident_bytes()
    bank.install(folders, count)
    return _resident_bytes() - before


def _batches(bank: OpenBank, count: int) -> Work:
    """A batch whose adapters are drawn anew each time."""
    random, rows = np.random.default_rng(0), [sequence(_NUM_TOKENS)] * _NUM_ROWS
    return lambda: bank.executor.run(plan(random.integers(1, count + 1, _NUM_ROWS).tolist(), rows))


def memory_metrics(backbone: Backbone, bank: OpenBank, folder: Path, grown_bytes: int) -> dict[str, float]:
    """After batches were computed, so that the workspace is as large as it gets. `folder`: any of the adapters."""
    tensors = read_checkpoint(folder).tensors
    adapter_bytes = sum(tensor.nbytes for tensor in tensors.values())
    head_bytes = sum(tensor.nbytes for name, tensor in tensors.items() if "lora_" not in name)
    base_bytes, num_adapters = backbone.facts.base_bytes, len(bank.contents)
    held_bytes = sum(content.num_bytes + head_bytes for content in bank.contents)
    return {
        "bytes_over_ideal": (base_bytes + held_bytes + bank.bank.num_bytes)
        / (base_bytes + num_adapters * adapter_bytes),
        "rss_per_adapter_over_ideal": grown_bytes / num_adapters / adapter_bytes,
        "adapter_mib": adapter_bytes / 2**20,
        "base_mib": base_bytes / 2**20,
        "workspace_mib": bank.bank.num_bytes / 2**20,
    }


def _resident_bytes() -> int:
    gc.collect()
    resident: int = psutil.Process().memory_info().rss
    return resident
