"""Checks of single values of a configuration: each says what is wrong, in words for the caller, or None.

Bounds are generous for adapters that exist and small enough that no value can make a load slow or huge.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import re2

Check = Callable[[Any], str | None]

_MAX_NAMES = 8192
_MAX_NAME_CHARACTERS = 512
_MAX_PATTERN_CHARACTERS = 4096
_QUIET = re2.Options()
_QUIET.log_errors = False
_MODULE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_MODULE_PATTERN = re.compile(r"\^?[A-Za-z0-9_.-]+\$?")


def anything(value: Any) -> str | None:
    """Any JSON value: for fields that are never used; the file's size bounds it."""
    return None


def boolean(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "must be true or false"


def text(value: Any) -> str | None:
    """Any text."""
    return None if isinstance(value, str) else "must be text"


def integer(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any) -> str | None:
        return None if type(value) is int and low <= value <= high else f"must be a whole number from {low} to {high}"

    return check


def number(low: float, high: float) -> Check:
    """A finite number from `low` to `high`."""

    def check(value: Any) -> str | None:
        fits = type(value) in (int, float) and low <= value <= high
        return None if fits else f"must be a number from {low:g} to {high:g}"

    return check


def one_of(*allowed: Any, advice: str = "") -> Check:
    """One of the given JSON values; true and 1 are different values."""

    def check(value: Any) -> str | None:
        if any(value == other and type(value) is type(other) for other in allowed):
            return None
        return f"must be {' or '.join(json.dumps(other) for other in allowed)}{advice and f': {advice}'}"

    return check


def optional(check: Check) -> Check:
    """Null, or what `check` takes."""
    return either(one_of(None), check)


def either(first: Check, second: Check) -> Check:
    """What one of two checks takes."""

    def check(value: Any) -> str | None:
        problem = first(value)
        if problem is None:
            return None
        other = second(value)
        return None if other is None else f"{problem}, or {other.removeprefix('must be ')}"

    return check


def list_of(check: Check, max_items: int = _MAX_NAMES, min_items: int = 0) -> Check:
    """A list whose items `check` takes."""

    def check_list(value: Any) -> str | None:
        if not isinstance(value, list) or not min_items <= len(value) <= max_items:
            return f"must be a list of {min_items} to {max_items} items"
        return next((f"each item {problem}" for item in value if (problem := check(item))), None)

    return check_list


def module_map(check: Check) -> Check:
    """A map from module names to what `check` takes.

    PEFT matches these keys as regular expressions with a backtracking engine, so only names pass, with ^ and $ at most.
    """

    def check_map(value: Any) -> str | None:
        if not isinstance(value, dict) or len(value) > _MAX_NAMES:
            return f"must be a map of at most {_MAX_NAMES} module names"
        if not all(len(key) <= _MAX_NAME_CHARACTERS and _MODULE_PATTERN.fullmatch(key) for key in value):
            return "must have plain module names as keys: write one entry for each module instead of a pattern"
        return next((f"each value {problem}" for item in value.values() if (problem := check(item))), None)

    return check_map


def module_name(value: Any) -> str | None:
    """The name of a module, or the end of one."""
    fits = isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS and _MODULE_NAME.fullmatch(value)
    return None if fits else f"must be a module name: letters, digits, _ . - ({_MAX_NAME_CHARACTERS} at most)"


def module_pattern(value: Any) -> str | None:
    """A regular expression over module names that RE2 takes, hence one that can be matched in linear time.

    Whoever matches it must use RE2 as well: Python's engine may take for ever over `(a+)+$`.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PATTERN_CHARACTERS:
        return f"must be a pattern of 1 to {_MAX_PATTERN_CHARACTERS} characters"
    try:
        re2.compile(value, _QUIET)
    except re2.error:
        return "must be a regular expression that RE2 takes: no look-around, no back-references, small repetitions"
    return None


names = list_of(module_name)
names_or_pattern = either(names, module_pattern)
targets = either(list_of(module_name, min_items=1), module_pattern)
