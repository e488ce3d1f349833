"""Forwards of LateFuse, for its own virtual environment; run by `late_fuse`, which reads what it prints.

Its engine on the stock model with 64 tenants, each row of another; of its two ways to gather weights the faster one
counts. As for the bank, gathering is part of the forward, and the base is the same model with adapters left out.
"""

import json
import random
import sys
from collections.abc import Callable

import torch
from latefuse import (  # type: ignore[import-not-found]
    AdapterStore,
    BatchAssembler,
    HFEncoderWithLora,
    IndexSelectBatchAssembler,
    LoraServingConfig,
)

from benchmarks.pairs import medians, paired_ratios

_TARGETS = {"qv": ("query", "value"), "qkv": ("query", "key", "value")}
_NUM_TENANTS, _NUM_TOKENS = 64, 32
_SHAPES = (("mixed_16x16", 16, 1), ("single_row", 1, 5))
"""Name, rows, and rounds for each that is asked for."""


def main(base: str, rank: int, num_rounds: int) -> None:
    """Print ratios to the base forward, as JSON."""
    torch.set_num_threads(1)
    print(
        json.dumps(
            {
                f"latefuse_{name}_{suffix}": _ratio(_config(base, rank, num_rows, targets), num_rounds * factor)
                for suffix, targets in _TARGETS.items()
                for name, num_rows, factor in _SHAPES
            }
        )
    )


def _config(base: str, rank: int, num_rows: int, targets: tuple[str, ...]) -> LoraServingConfig:
    return LoraServingConfig(base, rank, num_rows, _NUM_TOKENS, list(targets), torch.device("cpu"), torch.float32)


def _ratio(config: LoraServingConfig, num_rounds: int) -> float:
    model = HFEncoderWithLora.from_pretrained_serving(config).eval()
    store = AdapterStore(config)
    for number in range(_NUM_TENANTS):
        store.load_synthetic(str(number), seed=number)
    ids = torch.full((config.batch_size, config.max_seq_len), 2000)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    by_loop, by_index = BatchAssembler(store, config), IndexSelectBatchAssembler(store, config)
    works = {
        "loop": _forward(model, inputs, lambda: by_loop.assemble_lora(_tenants(config.batch_size))),
        "index": _forward(model, inputs, lambda: by_index.to_layerwise(_tenants(config.batch_size))),
    }
    ratios = paired_ratios(_forward(model, inputs, lambda: None), works, num_rounds)
    return min(medians(ratios).values())


def _tenants(count: int) -> list[str]:
    return [str(number) for number in random.sample(range(_NUM_TENANTS), count)]


def _forward(
    model: HFEncoderWithLora, inputs: dict[str, torch.Tensor], weights: Callable[[], object]
) -> Callable[[], None]:
    @torch.no_grad()
    def work() -> None:
        gathered = weights()
        model.encode_pooled(lora_weights=gathered, apply_lora=gathered is not None, **inputs)

    return work


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
