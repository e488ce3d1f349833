"""The tables of known fields are complete for the installed PEFT, and what they let through, PEFT can build."""

import dataclasses
from typing import Any

import peft
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

from adaptermux_server.adapters.adapter_config import parse_adapter_config
from adaptermux_server.adapters.config_fields import METHODS
from adaptermux_server.errors import ConfigUnsupportedError
from tests.adapters.builders import unhurried
from tests.adapters.test_adapter_config import content

READ_ELSEWHERE = {"peft_type", "task_type"}


@pytest.mark.parametrize("peft_type", METHODS)
def test_every_field_that_peft_knows_is_applied_or_ignored_on_purpose(peft_type: str) -> None:
    method = METHODS[peft_type]
    fields = {field.name for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[peft_type])}

    assert fields - READ_ELSEWHERE == method.applied.keys() | method.ignored.keys()


@pytest.mark.parametrize("peft_type", METHODS)
def test_no_field_is_both_applied_and_ignored(peft_type: str) -> None:
    method = METHODS[peft_type]

    assert set() == method.applied.keys() & method.ignored.keys()
    assert method.required <= method.applied.keys()


MINIMAL: dict[str, dict[str, Any]] = {
    **{name: {"target_modules": ["query"]} for name in METHODS},
    "ADALORA": {"target_modules": ["query"], "total_step": 10},
    "IA3": {"target_modules": ["query"], "feedforward_modules": []},
}


@pytest.mark.parametrize("peft_type", METHODS)
def test_what_peft_saves_by_default_passes(peft_type: str) -> None:
    config = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type](task_type="SEQ_CLS", **MINIMAL[peft_type])
    saved = {
        name: sorted(value) if isinstance(value, set) else getattr(value, "value", value)
        for name, value in config.to_dict().items()
    }

    parsed = parse_adapter_config(content(**saved))

    assert peft_type == parsed.peft_type
    assert MINIMAL[peft_type].items() <= parsed.applied.items()


names = st.sampled_from(["query", "key", "attention.output.dense"])
any_value = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2000)
    | st.floats(-2, 2)
    | st.sampled_from(["none", "all-linear", "gaussian", "MLP", "TEXT", "zero", ".*query", "pissa"])
    | st.lists(names | st.integers(0, 3), max_size=2)
    | st.dictionaries(names, st.integers(0, 9) | st.lists(st.booleans(), max_size=2), max_size=2)
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A minimal configuration with any values in up to three of its known fields."""
    peft_type = draw(st.sampled_from(sorted(METHODS)))
    method = METHODS[peft_type]
    changed = st.dictionaries(st.sampled_from(sorted({**method.applied, **method.ignored})), any_value, max_size=3)
    return {"peft_type": peft_type, "task_type": "SEQ_CLS", **MINIMAL[peft_type], **draw(changed)}


@unhurried
@given(configs())
def test_a_configuration_is_refused_by_name_or_peft_takes_what_is_left_of_it(config: dict[str, Any]) -> None:
    try:
        applied = dict(parse_adapter_config(content(**config)).applied)
    except ConfigUnsupportedError as error:
        assert error.metadata["field"] in config  # noqa: PT017 - either ending is right
        return

    built = PEFT_TYPE_TO_CONFIG_MAPPING[applied.pop("peft_type")](**applied)

    assert isinstance(built, peft.PeftConfig)
