"""Forwards that mix adapters, as ratios to the bare forward of the base model.

Measured are the bank (`uniform`: all rows of one adapter; `mixed_16x16`: each of another; `single_row`: one row alone),
plain PEFT beside it (`peft_…`: after `set_adapter`, or with `adapter_names=`; left out where it can't mix), and
LateFuse on what it supports. `engine_…` is all that the engine does for a batch: the inputs made, the forward, each
row's head, the values copied out.

16 rows × 32 tokens and LoRA of rank 8 on all linear layers, but where the metric's name says otherwise: other lengths
(t), ranks (r), targets (qv, qkv), methods; `methods` has LoRA, DoRA, IA3 and the base in one batch. One computing
thread; each measurement is divided by that of a base forward right beside it; medians. `noise`: the range that holds
the middle half of such ratios of the base to itself.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from peft import PeftConfig

from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.collate import Batch, Columns, collate
from benchmarks.adapters import BASE_FOLDER, RANK, ia3, lora, save_adapters
from benchmarks.engines import sequence
from benchmarks.late_fuse import late_fuse_ratios
from benchmarks.lineup import BankLineup, PeftLineup, bare_forward, can_mix
from benchmarks.mixed_picture import draw
from benchmarks.pairs import Work, medians, paired_ratios, spread

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
_ROUNDS, _ROUNDS_BESIDE, _QUICK_ROUNDS = 40, 6, 8
"""Beside what has a target less exactness will do."""
_ONE_ROW_FACTOR = 4
"""One row takes an eighth of the time of many, so that more rounds can be had."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Adapters of one kind."""

    config: PeftConfig
    lengths: Mapping[str, int]
    """Tokens of each row, by the suffix of the metrics' names."""
    num_in_bank: int = 48


_MAIN = Recipe(lora(), {"": _NUM_TOKENS, "_t16": 16, "_t128": 128}, num_in_bank=256)
_RECIPES = (
    _MAIN,
    Recipe(lora(64), {"_r64": _NUM_TOKENS}),
    Recipe(lora(targets=("query", "value")), {"_qv": _NUM_TOKENS}),
    Recipe(lora(targets=("query", "key", "value")), {"_qkv": _NUM_TOKENS}),
    Recipe(lora(use_dora=True), {"_dora": _NUM_TOKENS}),
    Recipe(ia3(), {"_ia3": _NUM_TOKENS}),
)


def run(quick: bool) -> dict[str, float]:
    """Measure and draw; `quick`: only what has a target and what stands beside it, in fewer rounds, and no picture."""
    backbone = load_backbone(str(BASE_FOLDER))
    if quick:
        return asyncio.run(_measure(backbone, [replace(_MAIN, lengths={"": _NUM_TOKENS})], _QUICK_ROUNDS))
    metrics = asyncio.run(_measure(backbone, _RECIPES, _ROUNDS))
    metrics |= medians(_ratios_of_methods(backbone, _ROUNDS_BESIDE)) | late_fuse_ratios(
        BASE_FOLDER, RANK, _ROUNDS_BESIDE
    )
    draw(PICTURE, metrics, {name: bound for name, (_, bound) in TARGETS.items()})
    return metrics


async def _measure(backbone: Backbone, recipes: Iterable[Recipe], num_rounds: int) -> dict[str, float]:
    ratios: dict[str, list[float]] = {}
    differences = []
    for recipe in recipes:
        lineup = _Lineup(recipe, backbone)
        for suffix in recipe.lengths:
            ratios |= lineup.ratios(suffix, _ROUNDS_BESIDE if suffix else num_rounds)
        differences.append(lineup.max_difference())
    metrics = {"noise": spread(ratios.pop("base_itself")), "max_difference": max(differences)}
    return medians(ratios) | metrics


class _Lineup:
    """A recipe's adapters in the bank and in plain PEFT."""

    def __init__(self, recipe: Recipe, backbone: Backbone) -> None:
        self._recipe = recipe
        self._backbone = backbone
        with TemporaryDirectory() as folder:
            folders = list(save_adapters(Path(folder), _NUM_SAVED, config=recipe.config).values())
            self._bank = BankLineup(backbone, folders, recipe.num_in_bank)
            self._peft = PeftLineup(folders if can_mix(recipe.config) else folders[:_NUM_COMPARED])

    def ratios(self, suffix: str, num_rounds: int) -> dict[str, list[float]]:
        """Measure with rows of one length."""
        rows = [sequence(self._recipe.lengths[suffix])] * _NUM_ROWS
        many, one = collate(rows, self._backbone), collate(rows[:1], self._backbone)
        works = self._many_rows(many) if suffix else self._many_rows(many) | self._engine(rows)
        base = bare_forward(self._backbone, many)
        if not suffix:
            works["base_itself"] = base
        ratios = paired_ratios(base, works, num_rounds)
        works = {"single_row": self._bank.uniform(one), "peft_single_row": self._peft.uniform(one)}
        ratios |= paired_ratios(bare_forward(self._backbone, one), works, num_rounds * _ONE_ROW_FACTOR)
        return {name + suffix: samples for name, samples in ratios.items()}

    def _many_rows(self, batch: Batch) -> dict[str, Work]:
        works = {
            "uniform": self._bank.uniform(batch),
            "mixed_16x16": self._bank.mixed(batch),
            "peft_uniform": self._peft.uniform(batch),
        }
        return works | ({"peft_mixed_16x16": self._peft.mixed(batch)} if can_mix(self._recipe.config) else {})

    def _engine(self, rows: Sequence[Columns]) -> dict[str, Work]:
        return {"engine_uniform": self._bank.engine_uniform(rows), "engine_mixed_16x16": self._bank.engine_mixed(rows)}

    def max_difference(self) -> float:
        """How far logits of rows in one batch are from what plain PEFT gives for each adapter alone, at most."""
        rows = [sequence(num_tokens) for num_tokens in range(4, 4 + _NUM_COMPARED)]
        together = self._bank.logits(range(1, 1 + len(rows)), rows)
        alone = [self._peft.logits(number, collate([row], self._backbone))[0] for number, row in enumerate(rows)]
        return max(float((one - other).abs().max()) for one, other in zip(together, alone, strict=True))


def _ratios_of_methods(backbone: Backbone, num_rounds: int) -> dict[str, list[float]]:
    with TemporaryDirectory() as folder:
        saved = [
            save_adapters(Path(folder) / str(number), _NUM_SAVED, config=config).values()
            for number, config in enumerate((lora(), lora(use_dora=True), ia3()))
        ]
        bank = BankLineup(backbone, [one for kinds in zip(*saved, strict=True) for one in kinds], 3 * _NUM_SAVED)
    batch = collate([sequence(_NUM_TOKENS)] * _NUM_ROWS, backbone)
    works = {"mixed_16x16_methods": bank.mixed_with_base(batch)}
    return paired_ratios(bare_forward(backbone, batch), works, num_rounds)
