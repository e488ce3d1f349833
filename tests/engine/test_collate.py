"""Rows into one padded batch."""

from collections.abc import Callable

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import collate


def test_rows_are_padded_on_the_right_to_the_longest(bert: Backbone) -> None:
    """With the model's padding id, and no attention to it."""
    batch = collate([{"input_ids": (0, 7, 2)}, {"input_ids": (0, 2)}], bert)

    assert batch.lengths == (3, 2)
    assert batch.inputs["input_ids"].tolist() == [[0, 7, 2], [0, 2, 1]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_one_row_has_no_padding(bert: Backbone) -> None:
    batch = collate([{"input_ids": (0, 7, 2), "token_type_ids": (0, 0, 1)}], bert)

    assert batch.inputs["token_type_ids"].tolist() == [[0, 0, 1]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1]]


def test_columns_that_the_model_does_not_take_are_left_out(backbone_of: Callable[[str], Backbone]) -> None:
    """DistilBERT knows no token types."""
    batch = collate([{"input_ids": (0, 2), "token_type_ids": (0, 0)}], backbone_of("distilbert"))

    assert set(batch.inputs) == {"input_ids", "attention_mask"}


def test_columns_that_an_adapter_never_saw_are_left_out(bert: Backbone) -> None:
    row = {"input_ids": (0, 2), "token_type_ids": (0, 1)}

    batch = collate([row], bert, unseen_columns=frozenset({"token_type_ids"}))

    assert set(batch.inputs) == {"input_ids", "attention_mask"}
