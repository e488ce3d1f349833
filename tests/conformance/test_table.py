"""The table itself: each case is told apart, and every RPC has both a good case and a bad one."""

import json
from collections import Counter
from typing import Any

import pytest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from tests.conformance.matching import differences
from tests.conformance.table import CASES

_TABLE = json.loads(CASES.read_text())
_RPCS = [
    method.name
    for file in (infer_pb2, adapter_admin_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
_CANNOT_FAIL = {"GetModel", "GetServerStatus"}


def test_names_are_distinct() -> None:
    names = Counter(case["name"] for case in _TABLE["cases"])

    assert [] == [name for name, count in names.items() if count > 1]


def test_every_rpc_has_a_good_case() -> None:
    assert set(_RPCS) == {case["rpc"] for case in _TABLE["cases"] if case["expect"]["status"] == "OK"}


def test_every_rpc_that_can_fail_has_a_bad_case() -> None:
    bad = {case["rpc"] for case in _TABLE["cases"] if _fails(case["expect"])}

    assert set(_RPCS) - _CANNOT_FAIL == bad


def _fails(expect: dict[str, Any]) -> bool:
    return expect["status"] != "OK" or any(map(_fails, expect.get("responses", {}).values()))


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1.0, 1.00005),
        ("a", "a"),
        (False, False),
        (None, None),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
        ([1, {"b": 2}], [1, {"b": 2}]),
        ({"$any": True}, ""),
        ({"$length": 2}, ["a", "b"]),
    ],
)
def test_what_matches(expected: Any, actual: Any) -> None:
    assert [] == list(differences(expected, actual, 1e-4))


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1.0, 1.001),
        (1.0, None),
        ("a", "b"),
        (False, None),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, None),
        ([1], [1, 2]),
        ([1, 2], [2, 1]),
        ([1], None),
        ({"$any": True}, None),
        ({"$length": 2}, ["a"]),
        ({"$length": 0}, None),
    ],
)
def test_what_does_not_match(expected: Any, actual: Any) -> None:
    assert [] != list(differences(expected, actual, 1e-4))
