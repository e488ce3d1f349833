"""Module names that a configuration's patterns mean, matched in linear time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import re2

# PEFT's word for "every linear layer but the head"; PEFT itself resolves it.
_SHORTHAND = "all-linear"
_PATTERN_FIELDS = ("target_modules", "exclude_modules", "feedforward_modules")


def resolve_patterns(fields: Mapping[str, Any], module_names: Sequence[str]) -> dict[str, Any]:
    """Replace each pattern of a configuration by one that spells out the modules it matches.

    PEFT matches patterns with a backtracking engine, where `(a+)+$` may take for ever; RE2 does it in linear time
    (https://github.com/google/re2/wiki/Syntax). The whole name must match, as PEFT demands.
    """
    return {
        name: _spell_out(value, module_names)
        if name in _PATTERN_FIELDS and isinstance(value, str) and value.lower() != _SHORTHAND
        else value
        for name, value in fields.items()
    }


def literal_pattern(names: Iterable[str]) -> str:
    """A regular expression that matches exactly `names`; where there are none, nothing."""
    return "|".join(re.escape(name) for name in sorted(names)) or "(?!)"


def _spell_out(pattern: str, module_names: Sequence[str]) -> str:
    compiled = re2.compile(pattern)
    return literal_pattern(name for name in module_names if compiled.fullmatch(name))
