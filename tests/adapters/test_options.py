"""Options of a load: all that is wrong with them is said at once."""

from typing import Any

import pytest

from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.errors import InvalidRequestError


def test_good_options_pass() -> None:
    options = LoadOptions("x", "/a", labels=("a", "b"), weight=1000, max_wait_seconds=3600)

    assert options.labels == ("a", "b")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"adapter_id": "../x"}, ["adapter_id"]),
        ({"uri": ""}, ["uri"]),
        ({"weight": 0}, ["weight"]),
        ({"weight": -1}, ["weight"]),
        ({"weight": 1001}, ["weight"]),
        ({"weight": float("nan")}, ["weight"]),
        ({"max_wait_seconds": 0}, ["max_wait"]),
        ({"max_wait_seconds": 3601}, ["max_wait"]),
        ({"max_wait_seconds": float("nan")}, ["max_wait"]),
        ({"labels": ("a", "a")}, ["labels"]),
        ({"labels": ("a", "")}, ["labels[1]"]),
        ({"labels": ("a" * 513,)}, ["labels[0]"]),
        ({"labels": tuple(map(str, range(70_000)))}, ["labels"]),
        ({"uri": "", "weight": 0, "max_wait_seconds": -1}, ["uri", "weight", "max_wait"]),
    ],
)
def test_every_wrong_field_is_named(fields: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        LoadOptions(**{"adapter_id": "x", "uri": "/a", **fields})

    assert named == [field for field, _ in caught.value.violations]
