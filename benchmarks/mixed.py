"""Forwards that mix adapters, as ratios to the bare forward of the base model.

Measured are the bank (`uniform`: all rows of one adapter; `mixed_16x16`: each of another; `single_row`: one row alone),
plain PEFT beside it (`peft_…`: after `set_adapter`, or with `adapter_names=`; left out where it can't mix), and LateFuse
on what it supports. `engine_…` is all that the engine does for a batch: the inputs made, the forward, each row's head,
the values copied out.

16 rows × 32 tokens and LoRA of rank 8 on all linear layers, but where the metric's name says otherwise: other lengths
(t), ranks (r), targets (qv, qkv), methods; `methods` has LoRA, DoRA, IA3 and the base in one batch. One computing thread;
each measurement is divided by that of a base forward right beside it; medians. `noise`: the range that holds the middle
half of such ratios of the base to itself.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from peft import PeftConfig

from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.collate import collate
from benchmarks.adapters import BASE_FOLDER, RANK, ia3, lora, save_adapters
from benchmarks.engines import sequence
from benchmarks.late_fuse import late_fuse_ratios
from benchmarks.lineup import BankLineup, PeftLineup, bare_forward
from benchmarks.mixed_picture import draw
from benchmarks.pairs import medians, paired_ratios, spread

TARGETS: dict[str, tuple[str, float]] = {
    "uniform": ("<=", 1.08),
    "mixed_16x16": ("<=", 1.12),
    "single_row": ("<=", 1.20),
    "max_difference": ("<=", 1e-4),
}

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "bank-mixed.png"

_NUM_ROWS, _NUM_TOKENS = 16, 32
_NUM_SAVED = 16
_NUM_COMPARED = 4
_ONE_ROW_FACTOR = 5
"""One row takes an eighth of the time of many, so that more rounds can be had."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to measure."""

    suffix: str
    """Of its metrics' names."""
    config: PeftConfig
    num_tokens: int = _NUM_TOKENS
    num_in_bank: int = 48


_MAIN = Case("", lora(), num_in_bank=256)
_BESIDE = (
    Case("_t16", lora(), num_tokens=16),
    Case("_t128", lora(), num_tokens=128),
    Case("_r64", lora(64)),
    Case("_qv", lora(targets=("query", "value"))),
    Case("_qkv", lora(targets=("query", "key", "value"))),
    Case("_dora", lora(use_dora=True)),
    Case("_ia3", ia3()),
)


def run(quick: bool) -> dict[str, float]:
    """Measure, and draw the picture; `quick`: fewer rounds, LateFuse only if it is installed, and no picture."""
    num_rounds, num_rounds_beside = (5, 2) if quick else (25, 9)
    metrics = asyncio.run(_measure(num_rounds, num_rounds_beside))
    metrics |= late_fuse_ratios(BASE_FOLDER, RANK, num_rounds_beside, may_install=not quick)
    if not quick:
        draw(PICTURE, metrics, {name: bound for name, (_, bound) in TARGETS.items()})
    return metrics


async def _measure(num_rounds: int, num_rounds_beside: int) -> dict[str, float]:
    backbone, metrics, differences = load_backbone(str(BASE_FOLDER)), {}, []
    for case in (_MAIN, *_BESIDE):
        ratios, difference = _measure_case(case, backbone, num_rounds if case is _MAIN else num_rounds_beside)
        metrics |= _summary(ratios, case.suffix)
        differences.append(difference)
    metrics |= _summary(_measure_methods(backbone, num_rounds_beside), "_methods")
    return metrics | {"max_difference": max(differences)}


def _measure_case(case: Case, backbone: Backbone, num_rounds: int) -> tuple[dict[str, list[float]], float]:
    """Ratios by name and round, and how far the bank is from plain PEFT."""
    with TemporaryDirectory() as folder:
        folders = list(save_adapters(Path(folder), _NUM_SAVED, config=case.config).values())
        bank, peft = BankLineup(backbone, folders, case.num_in_bank), PeftLineup(folders)
    rows = [sequence(case.num_tokens)] * _NUM_ROWS
    many, one = collate(rows, backbone), collate(rows[:1], backbone)
    works = {"uniform": bank.uniform(many), "mixed_16x16": bank.mixed(many), "peft_uniform": peft.uniform(many)}
    if peft.can_mix:
        works["peft_mixed_16x16"] = peft.mixed(many)
    if case is _MAIN:
        works["engine_uniform"], works["engine_mixed_16x16"] = bank.engine_uniform(rows), bank.engine_mixed(rows)
        works["base"] = bare_forward(backbone, many)
    ratios = paired_ratios(bare_forward(backbone, many), works, num_rounds)
    works = {"single_row": bank.uniform(one), "peft_single_row": peft.uniform(one)}
    ratios |= paired_ratios(bare_forward(backbone, one), works, num_rounds * _ONE_ROW_FACTOR)
    return ratios, _max_difference(bank, peft, backbone)


def _max_difference(bank: BankLineup, peft: PeftLineup, backbone: Backbone) -> float:
    """How far logits of rows in one batch are from those that plain PEFT gives for each adapter alone, at most."""
    rows = [sequence(num_tokens) for num_tokens in range(4, 4 + _NUM_COMPARED)]
    together = bank.logits(range(1, 1 + len(rows)), rows)
    alone = [peft.logits(number, collate([row], backbone))[0] for number, row in enumerate(rows)]
    return max(float((one - other).abs().max()) for one, other in zip(together, alone, strict=True))


def _measure_methods(backbone: Backbone, num_rounds: int) -> dict[str, list[float]]:
    with TemporaryDirectory() as folder:
        saved = [
            save_adapters(Path(folder) / str(number), _NUM_SAVED, config=config).values()
            for number, config in enumerate((lora(), lora(use_dora=True), ia3()))
        ]
        bank = BankLineup(backbone, [one for kinds in zip(*saved, strict=True) for one in kinds], 48)
    batch = collate([sequence(_NUM_TOKENS)] * _NUM_ROWS, backbone)
    return paired_ratios(bare_forward(backbone, batch), {"mixed_16x16": bank.mixed_with_base(batch)}, num_rounds)


def _summary(ratios: Mapping[str, list[float]], suffix: str) -> dict[str, float]:
    metrics = {f"{name}{suffix}": ratio for name, ratio in medians(ratios).items() if name != "base"}
    return metrics | ({"noise": spread(ratios["base"])} if "base" in ratios else {})
