"""Pages of a listing that is sorted by id (https://google.aip.dev/158). Tokens hold all that the next page needs."""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import AdapterState

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing; `next_page_token` is empty on the last one."""

    records: tuple[AdapterRecord, ...]
    next_page_token: str


def page_of(
    records: Sequence[AdapterRecord], page_size: int, page_token: str, state: AdapterState | None = None
) -> Page:
    """Cut a page from `records`, which are sorted by id, keeping those in `state` (None: all).

    Adapters that come or go between two calls are shown or not; all others are shown exactly once.

    Args:
        records: all of them, each time.
        page_size: at most this many; 0: 100; above 1,000: 1,000.
        page_token: of the page before; empty: from the start.
        state: the same on every page.

    Raises:
        InvalidRequestError: for `page_size` or `page_token`.
    """
    if page_size < 0:
        raise InvalidRequestError(("page_size", "must not be negative; 0 stands for 100"))
    size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    after = _parse_token(page_token, state) if page_token else ""
    start = bisect_right(records, after, key=lambda record: record.id)
    found = [record for record in records[start:] if state in (None, record.state)]
    page = tuple(found[:size])
    return Page(page, _token(page[-1].id, state) if len(found) > size else "")


def _token(last_id: str, state: AdapterState | None) -> str:
    return base64.urlsafe_b64encode(f"{_name(state)}:{last_id}".encode()).decode()


def _parse_token(token: str, state: AdapterState | None) -> str:
    try:
        token_state, _, last_id = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError) as error:
        raise _bad_token("isn't a token that this server gave") from error
    if token_state != _name(state):
        raise _bad_token("belongs to a listing with another state filter: start again without it")
    return check_adapter_id(last_id, "page_token")


def _name(state: AdapterState | None) -> str:
    return state.value if state else "ANY"


def _bad_token(text: str) -> InvalidRequestError:
    return InvalidRequestError(("page_token", text))
