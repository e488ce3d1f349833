"""Pages of a listing that is sorted by name (https://google.aip.dev/158). Tokens hold all that the next page needs."""

import base64
import binascii
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.errors import InvalidRequestError

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a caller asks for."""

    size: int = 0
    """At most this many; 0: 100; above 1,000: 1,000."""
    token: str = ""
    """Of the page before; empty: from the start."""
    selection: str = ""
    """What is kept of the whole listing, in the caller's words: the same on every page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Part of a listing; `next_token` is empty on the last one."""

    items: tuple[_Item, ...]
    next_token: str


def page_of(
    items: Sequence[_Item],
    name_of: Callable[[_Item], str],
    request: PageRequest,
    keep: Callable[[_Item], bool] = lambda _: True,
) -> Page[_Item]:
    """Cut a page from `items`, which are sorted by name, keeping those of the selection.

    What comes or goes between two calls is shown or not; all others are shown exactly once.

    Args:
        items: all of them, each time.
        name_of: gives the name of an item, which has the form of an adapter's id.
        request: which page.
        keep: the selection.

    Raises:
        InvalidRequestError: for `page_size` or `page_token`.
    """
    if request.size < 0:
        raise InvalidRequestError(("page_size", "must not be negative; 0 stands for 100"))
    size = min(request.size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    after = _parse_token(request) if request.token else ""
    start = bisect_right(items, after, key=name_of)
    found = [item for item in items[start:] if keep(item)]
    page = tuple(found[:size])
    return Page(page, _token(name_of(page[-1]), request.selection) if len(found) > size else "")


def _token(last_name: str, selection: str) -> str:
    return base64.urlsafe_b64encode(f"{_digest(selection)}:{last_name}".encode()).decode()


def _parse_token(request: PageRequest) -> str:
    try:
        digest, _, last_name = (
            base64.b64decode(request.token, altchars=b"-_", validate=True).decode("ascii").partition(":")
        )
    except (binascii.Error, ValueError) as error:
        raise _bad_token("isn't a token that this server gave") from error
    if digest != _digest(request.selection):
        raise _bad_token("belongs to a listing with another filter: start again without it")
    return check_adapter_id(last_name, "page_token")


def _digest(selection: str) -> str:
    return hashlib.blake2b(selection.encode(), digest_size=8).hexdigest()


def _bad_token(text: str) -> InvalidRequestError:
    return InvalidRequestError(("page_token", text))
