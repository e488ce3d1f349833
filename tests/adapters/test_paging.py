"""Pages: together they are the whole listing, and tokens can't be made up (AIP-158)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.paging import page_of
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import AdapterState
from tests.adapters.builders import unhurried


def records(*ids: str, state: AdapterState = AdapterState.READY) -> list[AdapterRecord]:
    return [AdapterRecord(adapter_id, state, "/a") for adapter_id in sorted(ids)]


def read_all(listing: list[AdapterRecord], size: int, state: AdapterState | None = None) -> list[str]:
    """The ids on all pages, one after the other."""
    ids, token = [], ""
    while True:
        page = page_of(listing, size, token, state)
        assert len(page.records) <= size
        ids += [record.id for record in page.records]
        token = page.next_page_token
        if not token:
            return ids


@unhurried
@given(st.sets(st.from_regex(r"[a-z0-9]{1,3}", fullmatch=True), max_size=12), st.integers(1, 5))
def test_the_pages_together_are_the_listing(ids: set[str], size: int) -> None:
    assert sorted(ids) == read_all(records(*ids), size)


def test_a_state_filter_holds_on_every_page() -> None:
    listing = sorted(
        records("a", "c", "e") + records("b", "d", state=AdapterState.FAILED), key=lambda record: record.id
    )

    assert read_all(listing, 1, AdapterState.FAILED) == ["b", "d"]
    assert read_all(listing, 2, AdapterState.READY) == ["a", "c", "e"]


def test_an_adapter_that_goes_between_two_pages_costs_no_other_its_place() -> None:
    token = page_of(records("a", "b", "c", "d"), 2, "").next_page_token

    page = page_of(records("a", "c", "d"), 2, token)

    assert [record.id for record in page.records] == ["c", "d"]


@pytest.mark.parametrize(("size", "shown"), [(0, 100), (5000, 1000), (1000, 1000), (7, 7)])
def test_sizes_have_a_default_and_a_cap(size: int, shown: int) -> None:
    listing = records(*(f"a{index:04}" for index in range(1200)))

    assert shown == len(page_of(listing, size, "").records)


def test_a_negative_size_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequestError, match="page_size"):
        page_of([], -1, "")


@pytest.mark.parametrize(
    "token",
    ["x", "é", "====", base64.b64encode(b"READY:b").decode(), base64.b64encode(b"ANY:../b").decode(), "QU5ZOg=="],
)
def test_a_token_that_the_server_did_not_give_is_an_invalid_request(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        page_of(records("a", "b"), 1, token)
