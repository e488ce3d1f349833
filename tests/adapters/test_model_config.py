"""`config.json`: label names, their number and the problem type, or nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.model_config import ModelConfig, parse_model_config
from adaptermux_server.errors import AdapterMuxError, ConfigUnsupportedError, SourceInvalidError
from adaptermux_server.types import ProblemType
from tests.adapters.builders import unhurried


def parse(**fields: Any) -> ModelConfig:
    """The outcome for a file with these fields."""
    return parse_model_config(json.dumps(fields).encode())


def test_labels_come_in_the_order_of_their_numbers_not_of_the_file() -> None:
    labels = [f"name {index}" for index in range(11)]
    shuffled = {str(index): labels[index] for index in (10, 2, 1, 0, 3, 4, 5, 6, 7, 8, 9)}

    assert ModelConfig(tuple(labels)) == parse(id2label=shuffled, model_type="bert", auto_map={"AutoModel": "evil.py"})


def test_a_number_of_labels_alone_gives_the_names_of_transformers() -> None:
    assert parse(num_labels=3).labels == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize("kind", ProblemType)
def test_the_problem_type_is_read(kind: ProblemType) -> None:
    assert kind is parse(problem_type=kind.value).problem_type


def test_a_file_that_says_nothing_gives_nothing() -> None:
    assert ModelConfig() == parse(problem_type=None, id2label=None)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("id2label", {"id2label": {}}),
        ("id2label", {"id2label": ["a"]}),
        ("id2label", {"id2label": {"1": "a"}}),
        ("id2label", {"id2label": {"0": "a", "2": "b"}}),
        ("id2label", {"id2label": {"00": "a"}}),
        ("id2label", {"id2label": {"0": 1}}),
        ("id2label", {"id2label": {"0": ""}}),
        ("id2label", {"id2label": {"0": "x" * 1000}}),
        ("id2label", {"id2label": {"0": "a", "1": "a"}}),
        ("num_labels", {"num_labels": 0}),
        ("num_labels", {"num_labels": 10**9}),
        ("num_labels", {"num_labels": True}),
        ("num_labels", {"num_labels": 3, "id2label": {"0": "a"}}),
        ("problem_type", {"problem_type": "clustering"}),
        ("problem_type", {"problem_type": ["regression"]}),
    ],
)
def test_malformed_fields_are_refused_by_name(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigUnsupportedError) as caught:
        parse(**fields)

    assert field == caught.value.metadata["field"]


def test_what_is_no_json_object_is_an_invalid_source() -> None:
    with pytest.raises(SourceInvalidError, match=r"config\.json"):
        parse_model_config(b"[" * 500_000)


@unhurried
@given(
    st.dictionaries(
        st.sampled_from(["id2label", "num_labels", "problem_type"]),
        st.none() | st.integers(-1, 4) | st.dictionaries(st.sampled_from("012"), st.sampled_from("abc")),
    )
)
def test_any_fields_are_refused_as_an_expected_error_or_give_distinct_labels(fields: dict[str, Any]) -> None:
    try:
        labels = parse(**fields).labels
    except AdapterMuxError:
        return

    assert len(set(labels or ())) == len(labels or ())
