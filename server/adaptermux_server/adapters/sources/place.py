"""A place in the network, in the one normal form in which places are compared; making one touches nothing."""

import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote, unquote

from adaptermux_server.adapters.sources.uri import malformed, scheme_of

_URI = re.compile(r"[^:/]+://([^/]*)(?:/(.*))?", re.DOTALL)
_AUTHORITY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
# What stores, fsspec or the servers on the way might take for something else than a plain name: separators, globs,
# queries, versions, chained URLs, and a % that somebody could decode once more.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\?#%*\[\]{}]|::|\A\.\.|\A\.?\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a store: `scheme://authority/part/part`, all decoded."""

    scheme: str
    """In lower case."""
    authority: str
    """The host with its port (for HTTP; in lower case, without the default port), else the bucket or the owner."""
    parts: tuple[str, ...]

    def holds(self, other: "Place") -> bool:
        """Whether `other` is this place or lies under it."""
        return (self.scheme, self.authority) == (other.scheme, other.authority) and (
            other.parts[: len(self.parts)] == self.parts
        )

    def file_url(self, name: str) -> str:
        """What fsspec takes for the file `name` of this folder: only HTTP has its URLs encoded."""
        parts = (*self.parts, name)
        return self._prefix + "/".join(quote(part, safe="") if self.is_http else part for part in parts)

    @property
    def is_http(self) -> bool:
        """Whether this is HTTP or HTTPS."""
        return self.scheme in _DEFAULT_PORTS

    @property
    def _prefix(self) -> str:
        return f"{self.scheme}://{self.authority}/"

    def __str__(self) -> str:
        return self._prefix + "/".join(self.parts)


def parse_place(uri: str) -> Place:
    """Parse a URI of any scheme but `file`.

    What has more than one reading is refused rather than resolved: `.`, `..`, empty and doubly encoded parts.

    Raises:
        InvalidRequestError: for the field `uri`. Its text never repeats the URI, which may hold a password or a token.
    """
    scheme = scheme_of(uri)
    match = _URI.fullmatch(uri)
    if scheme is None or match is None:
        raise malformed("is no URI: give scheme://place/path; chained ones (a::b) aren't taken")
    if "?" in uri or "#" in uri:
        raise malformed("has a query or a fragment, and no place needs one")
    path = (match[2] or "").removesuffix("/")
    return Place(scheme, _authority(scheme, match[1]), tuple(map(_part, path.split("/"))) if path else ())


def _authority(scheme: str, text: str) -> str:
    if "@" in text:
        raise malformed("names a user: the server has its own credentials and takes none from a URI")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        _refuse_authority()
    name, port = match.groups()
    if scheme not in _DEFAULT_PORTS:
        if port is not None or name.startswith("["):
            _refuse_authority()
        return str(name)  # buckets and owners are case-sensitive
    if port is None or int(port) == _DEFAULT_PORTS[scheme]:
        return str(name.lower())
    if not 0 < int(port) < 1 << 16:
        _refuse_authority()
    return f"{name.lower()}:{int(port)}"


def _refuse_authority() -> NoReturn:
    raise malformed("has no plain name of a host, a bucket or an owner after ://")


def _part(encoded: str) -> str:
    try:
        part = unquote(encoded, errors="strict")
    except UnicodeDecodeError as error:
        raise malformed("holds percent-encoded bytes that are no UTF-8") from error
    if _UNSAFE.search(part):
        raise malformed(
            "holds a part that isn't a plain name: none may be empty or begin with .., nor hold control characters or"
            " any of / \\ ? # % * [ ] { } ::, encoded or not"
        )
    return part
