"""`adapter_config.json`: applied exactly or refused with the field named (contract rows 15 and 18)."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.adapter_config import parse_adapter_config
from adaptermux_server.errors import AdapterMuxError, ConfigUnsupportedError, SourceInvalidError
from adaptermux_server.types import Task
from tests.adapters.builders import LORA_CONFIG, unhurried


def content(**fields: Any) -> bytes:
    """A file with these fields."""
    return json.dumps(fields).encode()


def lora(**fields: Any) -> bytes:
    """The file of a good LoRA, but for these fields."""
    return content(**{**LORA_CONFIG, **fields})


def test_what_must_be_applied_is_kept_and_the_rest_is_dropped() -> None:
    parsed = parse_adapter_config(lora(use_dora=True, lora_dropout=0.1, revision="main", rank_pattern={"query": 4}))

    assert parsed.applied == {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS",
        "r": 2,
        "lora_alpha": 4,
        "target_modules": ["query"],
        "modules_to_save": ["classifier"],
        "use_dora": True,
        "rank_pattern": {"query": 4},
    }


@pytest.mark.parametrize(
    ("task_type", "task"),
    [
        ("SEQ_CLS", Task.SEQUENCE_CLASSIFICATION),
        ("TOKEN_CLS", Task.TOKEN_CLASSIFICATION),
        ("QUESTION_ANS", Task.QUESTION_ANSWERING),
        ("FEATURE_EXTRACTION", Task.FEATURE_EXTRACTION),
        (None, Task.FEATURE_EXTRACTION),
    ],
)
def test_the_task_type_names_the_task(task_type: str | None, task: Task) -> None:
    assert task is parse_adapter_config(lora(task_type=task_type)).task


HARMLESS: list[tuple[str, Any]] = [
    ("init_lora_weights", False),
    ("init_lora_weights", "gaussian"),
    ("init_lora_weights", "orthogonal"),
    ("init_lora_weights", "eva"),
    ("auto_mapping", {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"}),
    ("lora_alpha", 0.5),
    ("target_modules", "all-linear"),
    ("target_modules", r".*layer\.[0-3]\..*(query|value)"),
    ("target_modules", "(a+)+$"),
    ("exclude_modules", "classifier"),
    ("loftq_config", None),
    ("layers_to_transform", 1),
    ("layers_to_transform", [0, 1]),
    ("modules_to_save", None),
    ("rank_pattern", {"^encoder.layer.0.query$": 8}),
]


@pytest.mark.parametrize(("field", "value"), HARMLESS)
def test_a_harmless_value_passes(field: str, value: Any) -> None:
    parsed = parse_adapter_config(lora(**{field: value}))

    assert parsed.applied.get(field, value) == value


REFUSED: list[tuple[str, Any]] = [
    ("peft_type", "BOFT"),
    ("peft_type", None),
    ("peft_type", ["LORA"]),
    ("peft_type", "BOFT"),
    ("peft_type", "PROMPT_TUNING"),
    ("peft_type", "P_TUNING"),
    ("peft_type", "PREFIX_TUNING"),
    ("task_type", "CAUSAL_LM"),
    ("task_type", "SEQ_2_SEQ_LM"),
    ("task_type", ["SEQ_CLS"]),
    ("unknown_field", None),
    ("r", 0),
    ("r", -1),
    ("r", 1_000_000),
    ("r", 8.0),
    ("r", True),
    ("r", "8"),
    ("r", None),
    ("lora_alpha", 1e38),
    ("lora_alpha", -1e7),
    ("lora_alpha", "8"),
    ("lora_alpha", False),
    ("lora_dropout", 1.5),
    ("bias", "all"),
    ("bias", "lora_only"),
    ("init_lora_weights", "pissa"),
    ("init_lora_weights", "pissa_niter_4"),
    ("init_lora_weights", "olora"),
    ("init_lora_weights", "corda"),
    ("init_lora_weights", "loftq"),
    ("init_lora_weights", "lora_ga"),
    ("init_lora_weights", 1),
    ("layer_replication", [[0, 2]]),
    ("target_parameters", ["w"]),
    ("trainable_token_indices", [1]),
    ("alora_invocation_tokens", [1]),
    ("loftq_config", {"loftq_bits": 4}),
    ("megatron_config", {}),
    ("use_qalora", True),
    ("target_modules", None),
    ("target_modules", []),
    ("target_modules", [1]),
    ("target_modules", ["x" * 1000]),
    ("target_modules", ["x"] * 10_000),
    ("target_modules", ["quéry"]),
    ("target_modules", ""),
    ("target_modules", "x" * 5000),
    ("target_modules", "("),
    ("target_modules", "(?=a)"),
    ("target_modules", r"(a)\1"),
    ("target_modules", "(a{1000}){1000}"),
    ("exclude_modules", "["),
    ("modules_to_save", "classifier"),
    ("modules_to_save", ["(a+)+$"]),
    ("rank_pattern", {"(a+)+$": 8}),
    ("rank_pattern", {"query": 0}),
    ("rank_pattern", {f"m{index}": 1 for index in range(10_000)}),
    ("rank_pattern", []),
    ("alpha_pattern", {"query": 1e38}),
    ("layers_pattern", "(a+)+$"),
    ("layers_pattern", ["layer"]),
    ("layers_to_transform", -1),
    ("use_dora", 1),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_rows_15_and_18_a_value_that_cannot_be_served_exactly_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigUnsupportedError) as caught:
        parse_adapter_config(lora(**{field: value}))

    assert field == caught.value.metadata["field"]
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"peft_type": "LORA"}, "target_modules"),
        ({"peft_type": "OFT", "target_modules": ["q"], "r": 4}, "oft_block_size"),
        ({"peft_type": "OFT", "target_modules": ["q"], "oft_block_size": 0}, "oft_block_size"),
        ({"peft_type": "ADALORA", "target_modules": ["q"], "total_step": 5, "tinit": 5}, "total_step"),
        ({"peft_type": "IA3", "target_modules": ["q"], "feedforward_modules": ["k"]}, "feedforward_modules"),
        ({"peft_type": "LORA", "target_modules": "q", "layers_to_transform": 1}, "layers_to_transform"),
    ],
)
def test_fields_that_contradict_one_another_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigUnsupportedError) as caught:
        parse_adapter_config(content(**fields))

    assert named == caught.value.metadata["field"]


@pytest.mark.parametrize("field", ["bias", "init_lora_weights"])
def test_a_refusal_of_what_changes_the_base_says_so(field: str) -> None:
    with pytest.raises(ConfigUnsupportedError, match="base"):
        parse_adapter_config(lora(**{field: "all"}))


BAD_FILES = {
    "empty": b"",
    "not JSON": b"r: 8",
    "a list": b"[]",
    "NaN": b'{"peft_type": "LORA", "lora_alpha": NaN}',
    "infinite": b'{"peft_type": "LORA", "lora_alpha": 1e999}',
    "duplicate key": b'{"peft_type": "IA3", "peft_type": "LORA"}',
    "depth bomb": b'{"auto_mapping":' * 60_000,
    "depth bomb of brackets": b"[" * 1_000_000,
    "many digits": b'{"r": ' + b"9" * 900_000 + b"}",
    "two objects": b"{}{}",
    "not UTF-8": b'{"\xff": 1}',
    "lone surrogate": b'{"revision": "\\udc00"}',
}


@pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
def test_row_18_a_file_that_is_no_json_object_is_refused_quickly(bad: bytes) -> None:
    began = time.process_time()

    with pytest.raises(SourceInvalidError) as caught:
        parse_adapter_config(bad)

    assert caught.value.metadata["file"] == "adapter_config.json"
    assert time.process_time() - began < 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@unhurried
@given(st.dictionaries(st.sampled_from([*LORA_CONFIG, "rank_pattern", "auto_mapping", "x"]), json_values))
def test_any_fields_are_refused_as_an_expected_error_or_kept_as_they_are(fields: dict[str, Any]) -> None:
    try:
        parsed = parse_adapter_config(lora(**fields))
    except AdapterMuxError as error:
        str(error).encode()
        return

    assert parsed.applied.items() <= {**LORA_CONFIG, **fields}.items()


@unhurried
@given(st.integers(0, len(lora()) - 1), st.integers(0, 255))
def test_a_file_with_one_byte_changed_is_refused_as_an_expected_error_or_read(position: int, byte: int) -> None:
    changed = bytearray(lora())
    changed[position] = byte
    try:
        parsed = parse_adapter_config(bytes(changed))
    except AdapterMuxError:
        return

    assert parsed.applied.items() <= {"task_type": None, **json.loads(changed)}.items()
