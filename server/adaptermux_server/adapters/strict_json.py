"""JSON objects as RFC 8259 has them, without what Python tolerates beyond it: repeated keys, NaN, other encodings."""

import json
import math
from typing import Any, NoReturn

from adaptermux_server.errors import SourceInvalidError


def parse_object(content: bytes, file: str) -> dict[str, Any]:
    """Parse the content of `file`, whose size the caller has bounded.

    Raises SourceInvalidError, which names the file, where it isn't one JSON object in UTF-8, repeats a key, nests too
    deep, or holds a number that isn't finite.
    """
    try:
        value = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        # Escaped lone surrogates are no text: they would break whatever message quotes them later.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise SourceInvalidError(f"{file}: nested too deep", file=file) from error
    except ValueError as error:
        raise SourceInvalidError(f"{file}: not valid JSON: {error}", file=file) from error
    if not isinstance(value, dict):
        raise SourceInvalidError(f"{file}: not a JSON object", file=file)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
