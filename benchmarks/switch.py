"""What it costs to activate and to add an adapter where they take turns, by the number of adapters that are there.

Measured in plain PEFT, where all adapters sit in one model, and in our switch executor, whose module trees hold 16
adapters each. Costs are ratios to a forward of 16 rows × 32 tokens, taken in turn with what is compared to it; medians.

`load_adapter` reads the file as well; of our load, `install` is the part that holds the engine, and `prepare` (reading,
checking, building) runs beside it. Above 1 adapter the trees are full: `install` then makes a new one, its worst case.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from peft import PeftModel

from adaptermux_server.engine.engine import Engine
from adaptermux_server.engine.prepare import PreparedAdapter
from benchmarks.adapters import BASE_FOLDER, load_classifier, save_adapters
from benchmarks.engines import TOKEN_ID, plan, prepare, running_engine, sequence
from benchmarks.switch_picture import draw

TARGETS: dict[str, tuple[str, float]] = {}

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "switch-cost.png"

_QUICK_COUNTS = (1, 16, 64)
_COUNTS = (*_QUICK_COUNTS, 256)
_ADAPTERS_PER_TREE = 16
_NUM_ROWS, _NUM_TOKENS = 16, 32
_NUM_REPEATS = 7


@dataclass(frozen=True, slots=True)
class Costs:
    """With a number of adapters present, in seconds."""

    forward: float
    activate: float
    add: float

    @property
    def activate_ratio(self) -> float:
        """To the forward."""
        return self.activate / self.forward

    @property
    def add_ratio(self) -> float:
        """To the forward."""
        return self.add / self.forward


def run(quick: bool) -> dict[str, float]:
    """Measure with up to 256 adapters, and draw the picture; `quick`: up to 64, and no picture."""
    counts = _QUICK_COUNTS if quick else _COUNTS
    with TemporaryDirectory() as folder:
        (adapter,) = save_adapters(Path(folder), 1).values()
        in_peft = _in_peft(adapter, counts)
        in_engine, prepare_ratio = asyncio.run(_in_engine(adapter, counts))
    if not quick:
        draw(PICTURE, counts, _series(in_peft, in_engine))
    return {
        **{
            f"{name}_vs_forward_{count}": ratio
            for name, ratios in _series(in_peft, in_engine).items()
            for count, ratio in zip(counts, ratios, strict=True)
        },
        "prepare_vs_forward": prepare_ratio,
        "peft_forward_ms": in_peft[0].forward * 1e3,
        "forward_ms": in_engine[0].forward * 1e3,
    }


def _series(in_peft: Sequence[Costs], in_engine: Sequence[Costs]) -> dict[str, list[float]]:
    return {
        "peft_set_adapter": [costs.activate_ratio for costs in in_peft],
        "peft_load_adapter": [costs.add_ratio for costs in in_peft],
        "traversal": [costs.activate_ratio for costs in in_engine],
        "install": [costs.add_ratio for costs in in_engine],
    }


def _in_peft(adapter: Path, counts: Sequence[int]) -> list[Costs]:
    model = PeftModel.from_pretrained(load_classifier(BASE_FOLDER), adapter, adapter_name="adapter0").eval()
    costs = []
    for count in counts:
        for number in range(len(model.peft_config), count):
            model.load_adapter(adapter, f"adapter{number}")
        samples = [_sample_peft(model, adapter, f"adapter{repeat % count}") for repeat in range(_NUM_REPEATS)]
        costs.append(_medians(samples))
    return costs


def _sample_peft(model: PeftModel, adapter: Path, name: str) -> Costs:
    activate = _seconds(lambda: model.set_adapter(name))
    forward = _seconds(lambda: _forward(model))
    add = _seconds(lambda: model.load_adapter(adapter, "one-more"))
    model.delete_adapter("one-more")
    return Costs(forward, activate, add)


@torch.inference_mode()
def _forward(model: PeftModel) -> None:
    input_ids = torch.full((_NUM_ROWS, _NUM_TOKENS), TOKEN_ID)
    model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids))


async def _in_engine(adapter: Path, counts: Sequence[int]) -> tuple[list[Costs], float]:
    """Costs by count, and the ratio of `prepare` to the forward."""
    async with running_engine("switch", _ADAPTERS_PER_TREE) as engine:
        prepared, num_installed, costs = await prepare(engine, adapter), 0, []
        for count in counts:
            for slot in range(num_installed + 1, count + 1):
                await engine.install(slot, prepared)
            num_installed = count
            costs.append(_medians([await _sample_engine(engine, prepared, count, i) for i in range(_NUM_REPEATS)]))
        prepares = [await _seconds_async(lambda: prepare(engine, adapter)) for _ in range(_NUM_REPEATS)]
    return costs, float(np.median(prepares)) / costs[-1].forward


async def _sample_engine(engine: Engine, prepared: PreparedAdapter, count: int, repeat: int) -> Costs:
    # Neighbours in one tree take turns, so that each plan needs a traversal.
    slot = 1 + repeat % min(count, _ADAPTERS_PER_TREE)
    result = await engine.run(plan([slot] * _NUM_ROWS, [sequence(_NUM_TOKENS)] * _NUM_ROWS))
    add = await _seconds_async(lambda: engine.install(count + 1, prepared))
    await engine.remove(count + 1)
    return Costs(result.compute_seconds, result.traversal_seconds, add)


def _medians(samples: Sequence[Costs]) -> Costs:
    values = [(sample.forward, sample.activate, sample.add) for sample in samples]
    return Costs(*np.median(np.array(values), axis=0).tolist())


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def _seconds_async(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started
