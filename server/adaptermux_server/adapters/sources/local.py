"""Folders of this machine. Never the network."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adaptermux_server.adapters.sources.uri import forbidden, malformed, scheme_of
from adaptermux_server.errors import SourceInvalidError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def resolve_source(uri: str, allowed_roots: Sequence[Path], allowed: str = "") -> Path:
    """Find the folder that `uri` (an absolute path or a file:// URI) names, symlinks followed.

    `allowed` says in errors what is allowed; empty: the roots.

    Raises:
        InvalidRequestError: for the field `uri`, where it is no path at all.
        SourceForbiddenError: where it is of another scheme or lies outside every root, whether it exists or not.
        SourceInvalidError: where no folder is there.
    """
    allowed = allowed or f"absolute paths and file:// URIs under: {_listed(allowed_roots)}"
    resolved = Path(os.path.realpath(_path(uri, allowed)))
    # The roots come first, so that nobody learns from the answers what exists outside them.
    if not any(resolved.is_relative_to(os.path.realpath(root)) for root in allowed_roots):
        raise forbidden(f"{uri!r} lies outside the allowed folders", allowed)
    if not os.path.isdir(resolved):
        raise SourceInvalidError(f"{uri!r} isn't a folder on the server's machine: give one that holds an adapter")
    return resolved


def path_of_file_uri(uri: str) -> str:
    """The path of a file URI (RFC 8089), percent-decoded. Raises InvalidRequestError where it is malformed."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise malformed("is no valid URI: give an absolute path or file:///…") from error
    if parts.netloc not in ("", "localhost"):
        raise malformed("names a host: file URIs have none, as in file:///srv/adapters/a")
    if parts.query or parts.fragment:
        raise malformed("has a query or a fragment: write ? and # in a path as %3F and %23")
    return unquote(parts.path)


def _path(uri: str, allowed: str) -> str:
    scheme = scheme_of(uri)
    if scheme is None and _HUB_ID.fullmatch(uri):
        raise forbidden(f"{uri!r} looks like the id of a model hub, which would be written hf://{uri}", allowed)
    if scheme not in (None, "file"):
        raise forbidden(f"sources of the scheme {scheme!r} aren't allowed", allowed)
    path = uri if scheme is None else path_of_file_uri(uri)
    if "\0" in path:
        raise malformed("holds a NUL character")
    if not path.startswith("/"):
        raise malformed(f"{uri!r} isn't absolute: give an absolute path or file:///…")
    return path


def _listed(roots: Sequence[Path]) -> str:
    return ", ".join(str(root) for root in roots) or "none (the operator must allow one first)"
