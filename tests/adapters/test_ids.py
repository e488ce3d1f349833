"""Ids and references: well formed or an invalid request (contract row 3)."""

import pytest

from adaptermux_server.adapters.ids import Reference, check_adapter_id, parse_reference
from adaptermux_server.errors import InvalidRequestError

BAD_IDS = [
    "",
    "../x",
    "a/b",
    "A",
    "x" * 65,
    "a\0",
    "a\n",
    "é",
    "аdapter",
    "a b",
    ".a",
    "a.",
    "-a",
    "a_",
    "base",
    "ａ",
    "a٣a",
]


@pytest.mark.parametrize(
    "value", ["a", "0", "a-b", "a..b", "sentiment.en_v2-1", "x" * 64, "based", "a" + "-" * 62 + "b"]
)
def test_a_well_formed_id_passes(value: str) -> None:
    assert value == check_adapter_id(value, "adapter_id")


@pytest.mark.parametrize("value", BAD_IDS)
def test_row_3_any_other_is_an_invalid_request_for_the_field(value: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_adapter_id(value, "adapter_id")

    assert [field for field, _ in caught.value.violations] == ["adapter_id"]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("a", Reference("a")),
        ("a@01234567", Reference("a", "01234567")),
        ("a@" + "f" * 64, Reference("a", "f" * 64)),
    ],
)
def test_a_reference_is_an_id_and_perhaps_a_revision(text: str, reference: Reference) -> None:
    assert reference == parse_reference(text, "adapter")


@pytest.mark.parametrize(
    "value", [*BAD_IDS, "a@", "a@0123456", "a@" + "0" * 65, "a@0123456G", "a@ABCDEF01", "a@01234567@", "@01234567"]
)
def test_row_3_a_malformed_reference_is_an_invalid_request(value: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^adapters\[1\]: "):
        parse_reference(value, "adapters[1]")
