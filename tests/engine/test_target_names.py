"""Patterns become lists of names, in linear time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.engine.target_names import literal_pattern, resolve_patterns

NAMES = ("encoder.0.query", "encoder.0.key", "encoder.1.query", "encoder.10.query")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r".*\.query", {"encoder.0.query", "encoder.1.query", "encoder.10.query"}),
        (r"encoder\.1\..*", {"encoder.1.query"}),
        (r"query", set()),
        (r"encoder\.\d\.(query|key)", {"encoder.0.query", "encoder.0.key", "encoder.1.query"}),
    ],
)
def test_pattern_means_the_names_that_it_matches_as_a_whole(pattern: str, expected: set[str]) -> None:
    assert _matched(resolve_patterns({"target_modules": pattern}, NAMES)["target_modules"]) == expected


def test_catastrophic_pattern_is_matched_at_once() -> None:
    """Python's engine takes for ever over this one."""
    started = time.monotonic()

    resolved = resolve_patterns({"target_modules": "(a+)+$"}, ["a" * 60 + "!"] * 50)

    assert _matched(resolved["target_modules"]) == set()
    assert time.monotonic() - started < 1


def test_lists_and_the_shorthand_are_left_to_peft() -> None:
    fields = {"target_modules": "all-linear", "exclude_modules": ["query"], "r": 4}

    assert resolve_patterns(fields, NAMES) == fields


@given(st.sets(st.text(alphabet="ab.0|()*", min_size=1)), st.text(alphabet="ab.0|()*"))
def test_literal_pattern_matches_exactly_its_names(names: set[str], other: str) -> None:
    """Whatever characters they hold."""
    pattern = literal_pattern(names)

    assert all(re.fullmatch(pattern, name) for name in names)
    assert bool(re.fullmatch(pattern, other)) == (other in names)


def _matched(pattern: str) -> set[str]:
    return {name for name in NAMES if re.fullmatch(pattern, name)}
