"""The base model and the adapters of the table: tiny, random and seeded."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from adaptermux_server.types import Task
from tests.support.models import make_adapter, make_base


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an adapter is made; it has as many labels as `labels`, named in its files if `named`."""

    task: Task
    method: str = "lora"
    labels: tuple[str, ...] = ()
    named: bool = True
    problem_type: str | None = None


MODEL_ID = "tiny-bert"
SPARE = "spare"
"""The adapter that isn't loaded at the start."""
RECIPES = {
    "sentiment": Recipe(Task.SEQUENCE_CLASSIFICATION, labels=("negative", "neutral", "positive")),
    "topics": Recipe(
        Task.SEQUENCE_CLASSIFICATION,
        "rslora",
        labels=("animals", "colours", "numbers", "plants"),
        problem_type="multi_label_classification",
    ),
    "rating": Recipe(Task.SEQUENCE_CLASSIFICATION, "dora", labels=("LABEL_0",), named=False),
    "ner": Recipe(Task.TOKEN_CLASSIFICATION, "ia3", labels=("O", "B-animal", "I-animal", "B-place", "I-place")),
    "qa": Recipe(Task.QUESTION_ANSWERING),
    "vectors": Recipe(Task.FEATURE_EXTRACTION),
    "tone": Recipe(Task.SEQUENCE_CLASSIFICATION, "oft", labels=("calm", "loud")),
    SPARE: Recipe(Task.SEQUENCE_CLASSIFICATION, labels=("LABEL_0", "LABEL_1"), named=False),
}


@dataclass(frozen=True, slots=True)
class Models:
    """Folders of the base model and of all adapters."""

    base: Path
    adapters: Path


def build(folder: Path) -> Models:
    """Make all models under `folder`; also `empty`, which holds no adapter, and `damaged`, whose weights are cut."""
    base = make_base("bert", folder / "base")
    adapters = folder / "adapters"
    (adapters / "empty").mkdir(parents=True)
    for seed, (adapter_id, recipe) in enumerate(RECIPES.items(), start=1):
        make_adapter(
            base,
            adapters / adapter_id,
            recipe.task,
            recipe.method,
            num_labels=len(recipe.labels),
            seed=seed,
            labels=recipe.labels if recipe.named else (),
            problem_type=recipe.problem_type,
        )
    shutil.copytree(adapters / SPARE, adapters / "damaged")
    weights = adapters / "damaged" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    return Models(base, adapters)
