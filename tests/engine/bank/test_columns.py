"""Which inputs can be kept from some rows of a batch."""

from collections.abc import Callable

import pytest

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.columns import telling_columns
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.types import ExecutorKind, Task
from tests.engine.bank.made_up import GATHERING
from tests.engine.bank.odd_bases import TypedByDefault
from tests.engine.conftest import MakeCheckpoint

TYPES = frozenset({"token_type_ids"})


@pytest.mark.parametrize("family", ["bert", "electra", "roberta", "distilbert"])
def test_column_whose_zeros_mean_its_absence_tells_nothing(family: str, backbone_of: Callable[[str], Backbone]) -> None:
    """Token types, where there are any."""
    assert {"input_ids"} == telling_columns(backbone_of(family))


def test_column_whose_zeros_mean_something_tells_it(bert: Backbone) -> None:
    assert {"input_ids", "token_type_ids"} == telling_columns(Backbone(TypedByDefault(), bert.tokenizer))


def test_bank_hides_telling_columns_and_those_that_nobody_reads(bert: Backbone, bank_of: Callable[[str], Bank]) -> None:
    odd = Bank(Backbone(TypedByDefault(), bert.tokenizer), GATHERING)

    assert [True, True, True, False, False] == [
        bank_of("bert").can_hide(TYPES),
        bank_of("bert").can_hide(frozenset()),
        bank_of("distilbert").can_hide(TYPES),
        bank_of("bert").can_hide(frozenset({"input_ids"})),
        odd.can_hide(TYPES),
    ]


def test_adapter_whose_columns_can_not_be_hidden_is_for_the_switch_executor(
    bert: Backbone, checkpoint_of: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question answering's, which knows no token types."""
    bank = Bank(bert, GATHERING)
    checkpoint = checkpoint_of(task=Task.QUESTION_ANSWERING)
    kinds = [AdapterPreparer(bert, bank).prepare(checkpoint).spec.executor]

    monkeypatch.setattr(bank, "_telling_columns", TYPES)
    kinds.append(AdapterPreparer(bert, bank).prepare(checkpoint).spec.executor)

    assert [ExecutorKind.BANK, ExecutorKind.SWITCH] == kinds
