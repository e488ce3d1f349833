"""Adapters of every kind of head and of all PEFT methods that are served, on one tiny base."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adaptermux_server.types import Task
from tests.e2e.expected import Expected
from tests.support.models import make_adapter, make_base

_RESIDENTS: Mapping[str, tuple[Task, str, int]] = {
    "topic": (Task.SEQUENCE_CLASSIFICATION, "lora", 5),
    "sentiment": (Task.SEQUENCE_CLASSIFICATION, "dora", 2),
    "language": (Task.SEQUENCE_CLASSIFICATION, "ia3", 3),
    "grade": (Task.SEQUENCE_CLASSIFICATION, "adalora", 1),
    "pos": (Task.TOKEN_CLASSIFICATION, "rslora", 4),
    "ner": (Task.TOKEN_CLASSIFICATION, "loha", 3),
    "qa": (Task.QUESTION_ANSWERING, "lokr", 2),
    "qa-short": (Task.QUESTION_ANSWERING, "lora", 2),
    "similar": (Task.FEATURE_EXTRACTION, "vera", 2),
    "search": (Task.FEATURE_EXTRACTION, "oft", 2),
}
_REVISIONS = 2


@dataclass(frozen=True)
class Zoo:
    """The folders, and what each adapter answers."""

    root: Path
    base: Path
    residents: Mapping[str, Expected]
    revisions: tuple[Expected, ...]
    """Of one adapter; all answer differently."""
    guest: Expected
    """Comes and goes."""

    @property
    def base_alone(self) -> Expected:
        """What the base answers without an adapter."""
        return Expected(self.base, None, Task.FEATURE_EXTRACTION)


def make_zoo(root: Path) -> Zoo:
    """Make all of it below `root`."""
    base = make_base("bert", root / "base")

    def made(name: str, task: Task, method: str, num_labels: int, seed: int) -> Expected:
        folder = make_adapter(base, root / name, task, method, num_labels=num_labels, seed=seed)
        return Expected(base, folder, task, num_labels)

    residents = {name: made(name, *kind, seed) for seed, (name, kind) in enumerate(_RESIDENTS.items())}
    revisions = [made(f"moving-{i}", Task.SEQUENCE_CLASSIFICATION, "lora", 3, 100 + i) for i in range(_REVISIONS)]
    guest = made("guest", Task.TOKEN_CLASSIFICATION, "dora", 3, 200)
    return Zoo(root, base, residents, tuple(revisions), guest)
