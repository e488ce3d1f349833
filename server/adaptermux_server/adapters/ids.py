"""Ids of adapters, and references to them: `id`, or `id@` and the first 8 to 64 hex digits of a revision."""

import re
from dataclasses import dataclass

from adaptermux_server.errors import InvalidRequestError

_ID = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_REVISION_PREFIX = re.compile(r"[0-9a-f]{8,64}")
_RESERVED = "base"
_ID_FORM = "1 to 64 of the characters a-z 0-9 . _ -, with a letter or a digit at both ends"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference; `revision_prefix` is empty where any revision will do."""

    id: str
    revision_prefix: str = ""


def check_adapter_id(value: str, field: str) -> str:
    """Return `value` if it is a well-formed id. Raises InvalidRequestError for `field`."""
    if not _ID.fullmatch(value):
        raise InvalidRequestError((field, f"isn't an adapter id: {_ID_FORM}"))
    if value == _RESERVED:
        raise InvalidRequestError((field, f"{_RESERVED!r} is reserved for the base model: choose another id"))
    return value


def parse_reference(value: str, field: str) -> Reference:
    """Parse a reference. Raises InvalidRequestError for `field`."""
    adapter_id, at, prefix = value.partition("@")
    check_adapter_id(adapter_id, field)
    if at and not _REVISION_PREFIX.fullmatch(prefix):
        raise InvalidRequestError((field, "has no revision after the @: 8 to 64 lower-case hex digits"))
    return Reference(adapter_id, prefix)
