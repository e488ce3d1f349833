"""Every kind of head on every family: mixed traffic equals plain PEFT with one adapter."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo
from tests.support.models import FAMILIES, make_adapter

HEADS = (
    ("two classes", Task.SEQUENCE_CLASSIFICATION, 2),
    ("five classes", Task.SEQUENCE_CLASSIFICATION, 5),
    ("regression", Task.SEQUENCE_CLASSIFICATION, 1),
    ("tags", Task.TOKEN_CLASSIFICATION, 7),
    ("answers", Task.QUESTION_ANSWERING, 2),
    ("features", Task.FEATURE_EXTRACTION, 0),
)


@pytest.mark.parametrize("family", FAMILIES)
async def test_mixed_heads_answer_as_plain_peft(family: str, open_zoo: Callable[[str], Zoo], tmp_path: Path) -> None:
    """Six adapters with six heads, batches of one adapter each in random order, padded to other rows' lengths."""
    zoo = open_zoo(family)

    for seed, (name, task, num_labels) in enumerate(HEADS):
        folder = make_adapter(zoo.base, tmp_path / name, task, num_labels=num_labels, seed=seed)
        await zoo.admit(name, folder, task, num_labels)

    assert all(zoo.changes_answers(name) for name in zoo.exhibits)
    await zoo.check_all(seed=1, num_plans=30)
    await zoo.check_base()
