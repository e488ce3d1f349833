"""Whether an outcome is what the table expects. Every language's runner has its own copy of these few rules."""

from collections.abc import Iterator
from typing import Any


def differences(expected: Any, actual: Any, tolerance: float, path: str = "") -> Iterator[str]:
    """Each place where `actual` isn't as expected: objects may have more keys, lists and scalars may not differ."""
    match expected:
        case {"$any": True}:
            wrong = actual is None
        case {"$length": length}:
            wrong = not isinstance(actual, list) or len(actual) != length
        case dict():
            for key, value in expected.items():
                yield from differences(value, (actual or {}).get(key), tolerance, f"{path}.{key}")
            return
        case list() if isinstance(actual, list) and len(expected) == len(actual):
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from differences(one, other, tolerance, f"{path}[{index}]")
            return
        case float() | int() if not isinstance(expected, bool):
            wrong = not isinstance(actual, float | int) or abs(expected - actual) > tolerance
        case _:
            wrong = expected != actual
    if wrong:
        yield f"{path}: expected {expected!r:.200}, got {actual!r:.200}"
