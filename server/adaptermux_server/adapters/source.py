"""Where an adapter may come from: folders of this machine under roots that the operator allowed. Never the network."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adaptermux_server.errors import InvalidRequestError, SourceForbiddenError, SourceInvalidError

_MAX_URI_CHARACTERS = 4096
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def resolve_source(uri: str, allowed_roots: Sequence[Path]) -> Path:
    """Find the folder that `uri` (an absolute path or a file:// URI) names, symlinks followed.

    Raises:
        InvalidRequestError: for the field `uri`, where it is no path at all.
        SourceForbiddenError: where it is of another scheme or lies outside every root, whether it exists or not.
        SourceInvalidError: where no folder is there.
    """
    path = _path(uri, allowed_roots)
    resolved = Path(os.path.realpath(path))
    # The roots come first, so that nobody learns from the answers what exists outside them.
    if not any(resolved.is_relative_to(os.path.realpath(root)) for root in allowed_roots):
        raise _forbidden(f"{uri!r} lies outside the allowed folders", allowed_roots)
    if not os.path.isdir(resolved):
        raise SourceInvalidError(f"{uri!r} isn't a folder on the server's machine: give one that holds an adapter")
    return resolved


def _path(uri: str, allowed_roots: Sequence[Path]) -> str:
    if not uri or len(uri) > _MAX_URI_CHARACTERS:
        raise _malformed(f"has {len(uri)} characters, allowed are 1 to {_MAX_URI_CHARACTERS}")
    scheme = _SCHEME.match(uri)
    if scheme is None and _HUB_ID.fullmatch(uri):
        raise _forbidden(f"{uri!r} looks like the id of a model hub, and nothing is fetched", allowed_roots)
    if scheme is not None and scheme[1].lower() != "file":
        raise _forbidden(f"sources of the scheme {scheme[1]!r} aren't allowed", allowed_roots)
    path = uri if scheme is None else _path_of_file_uri(uri)
    if "\0" in path:
        raise _malformed("holds a NUL character")
    if not path.startswith("/"):
        raise _malformed(f"{uri!r} isn't absolute: give an absolute path or file:///…")
    return path


def _path_of_file_uri(uri: str) -> str:
    """The path of a file URI (RFC 8089), percent-decoded."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise _malformed("is no valid URI: give an absolute path or file:///…") from error
    if parts.netloc not in ("", "localhost"):
        raise _malformed(f"names the host {parts.netloc!r}: file URIs have none, as in file:///srv/adapters/a")
    if parts.query or parts.fragment:
        raise _malformed("has a query or a fragment: write ? and # in a path as %3F and %23")
    return unquote(parts.path)


def _malformed(text: str) -> InvalidRequestError:
    return InvalidRequestError(("uri", text))


def _forbidden(text: str, allowed_roots: Sequence[Path]) -> SourceForbiddenError:
    roots = ", ".join(str(root) for root in allowed_roots) or "none (the operator must allow one first)"
    return SourceForbiddenError(f"{text}; allowed are absolute paths and file:// URIs under: {roots}")
