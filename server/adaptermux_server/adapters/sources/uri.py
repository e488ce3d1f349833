"""What all URIs of sources have in common: a length, a scheme, and two ways to be refused."""

import re

from adaptermux_server.errors import InvalidRequestError, SourceForbiddenError

_MAX_URI_CHARACTERS = 4096
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def scheme_of(uri: str) -> str | None:
    """The scheme in lower case; None: `uri` is a path. Raises InvalidRequestError where it is empty or too long."""
    if not uri or len(uri) > _MAX_URI_CHARACTERS:
        raise malformed(f"has {len(uri)} characters, allowed are 1 to {_MAX_URI_CHARACTERS}")
    match = _SCHEME.match(uri)
    return None if match is None else match[1].lower()


def malformed(text: str) -> InvalidRequestError:
    """The error for a `uri` that is none."""
    return InvalidRequestError(("uri", text))


def forbidden(text: str, allowed: str) -> SourceForbiddenError:
    """The error for a `uri` that isn't allowed; `allowed` says what is."""
    return SourceForbiddenError(f"{text}; allowed are {allowed}")
