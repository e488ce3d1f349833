"""Every served PEFT method, on BERT and on one other family."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adaptermux_server.adapters import config_fields
from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo
from tests.support.models import METHODS, make_adapter

OTHER_FAMILY = {
    "lora": "electra",
    "rslora": "electra",
    "dora": "roberta",
    "ia3": "distilbert",
    "adalora": "deberta-v2",
    "loha": "modernbert",
    "lokr": "electra",
    "vera": "roberta",
    "oft": "distilbert",
}


@pytest.mark.parametrize("family", ["bert", *sorted(set(OTHER_FAMILY.values()))])
async def test_methods_beside_each_other_answer_as_plain_peft(
    family: str, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """Adapters of several methods on one base don't touch each other, nor the base."""
    zoo = open_zoo(family)
    methods = [method for method in METHODS if family in ("bert", OTHER_FAMILY[method])]
    tasks = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)

    for seed, (method, task) in enumerate((method, task) for method in methods for task in tasks):
        name = f"{method} {task.value}"
        await zoo.admit(name, make_adapter(zoo.base, tmp_path / name, task, method, seed=seed), task)

    assert all(zoo.changes_answers(name) for name in zoo.exhibits)
    await zoo.check_all(seed=2, num_plans=60)
    await zoo.check_base()


def test_every_served_method_is_tested() -> None:
    """A method that joins the table needs a row here."""
    assert set(config_fields.METHODS) == {fields["peft_type"] for fields in METHODS.values()}
