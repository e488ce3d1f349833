"""Pages: together they are the whole listing, and tokens can't be made up (AIP-158)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.paging import Page, PageRequest, page_of
from adaptermux_server.errors import InvalidRequestError
from tests.adapters.builders import unhurried


def page(names: list[str], size: int, token: str = "", prefix: str = "") -> Page[str]:
    """A page of those names that begin with `prefix`."""
    request = PageRequest(size, token, selection=prefix)
    return page_of(sorted(names), lambda name: name, request, lambda name: name.startswith(prefix))


def read_all(names: list[str], size: int, prefix: str = "") -> list[str]:
    """The names on all pages, one after the other."""
    found: list[str] = []
    token = ""
    while True:
        got = page(names, size, token, prefix)
        assert len(got.items) <= size
        found += got.items
        token = got.next_token
        if not token:
            return found


@unhurried
@given(st.sets(st.from_regex(r"[a-z0-9]{1,3}", fullmatch=True), max_size=12), st.integers(1, 5))
def test_the_pages_together_are_the_listing(names: set[str], size: int) -> None:
    assert sorted(names) == read_all(list(names), size)


def test_a_selection_holds_on_every_page() -> None:
    names = ["a1", "a2", "a3", "b1", "b2"]

    assert read_all(names, 1, "b") == ["b1", "b2"]
    assert read_all(names, 2, "a") == ["a1", "a2", "a3"]


def test_what_goes_between_two_pages_costs_nothing_else_its_place() -> None:
    token = page(["a", "b", "c", "d"], 2).next_token

    assert page(["a", "c", "d"], 2, token).items == ("c", "d")


@pytest.mark.parametrize(("size", "shown"), [(0, 100), (5000, 1000), (1000, 1000), (7, 7)])
def test_sizes_have_a_default_and_a_cap(size: int, shown: int) -> None:
    names = [f"a{index:04}" for index in range(1200)]

    assert shown == len(page(names, size).items)


def test_a_negative_size_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequestError, match="page_size"):
        page([], -1)


@pytest.mark.parametrize(
    "token", ["x", "é", "====", base64.b64encode(b"READY:b").decode(), base64.b64encode(b"../b").decode(), "QU5ZOg=="]
)
def test_a_token_that_the_server_did_not_give_is_an_invalid_request(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        page(["a", "b"], 1, token)


def test_a_token_of_another_selection_is_an_invalid_request() -> None:
    token = page(["a", "b", "c"], 1).next_token

    with pytest.raises(InvalidRequestError, match="another filter"):
        page(["a", "b", "c"], 1, token, "a")
