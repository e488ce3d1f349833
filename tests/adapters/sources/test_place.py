"""Places: one normal form, and nothing that could be read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.sources.place import parse_place
from adaptermux_server.errors import InvalidRequestError
from tests.adapters.builders import unhurried


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("S3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3://Bucket/A", "s3://Bucket/A"),
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/%61%20b", "s3://bucket/a b"),
        ("s3://bucket/é/%C3%A9", "s3://bucket/é/é"),
        ("HTTPS://Host.Example:443/A", "https://host.example/A"),
        ("https://host:0443/a", "https://host/a"),
        ("https://host:8443/a", "https://host:8443/a"),
        ("http://host:443/a", "http://host:443/a"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("hf://owner/name@main/a", "hf://owner/name@main/a"),
    ],
)
def test_spellings_of_a_place_have_one_normal_form(uri: str, normal: str) -> None:
    assert normal == str(parse_place(uri))


@pytest.mark.parametrize(
    ("root", "inside", "outside"),
    [
        ("s3://bucket/a", "s3://bucket/a", "s3://bucket/ab"),
        ("s3://bucket/a", "s3://bucket/a/b", "s3://bucket/"),
        ("s3://bucket/a/", "s3://bucket/a", "s3://bucket/b/a"),
        ("s3://bucket", "s3://bucket/a", "s3://bucket2/a"),
        ("s3://bucket", "s3://bucket", "s3://Bucket/a"),
        ("s3://bucket", "s3://bucket/%61", "gs://bucket/a"),
        ("https://host", "https://HOST:443/a", "http://host/a"),
        ("https://host", "https://host/a", "https://host:444/a"),
        ("https://host", "https://host/a", "https://host./a"),
        ("https://host", "https://host/a", "https://host.evil/a"),
        ("hf://owner/name@v1", "hf://owner/name@v1/a", "hf://owner/name/a"),
    ],
)
def test_a_root_holds_what_lies_under_it_and_nothing_else(root: str, inside: str, outside: str) -> None:
    assert parse_place(root).holds(parse_place(inside))
    assert not parse_place(root).holds(parse_place(outside))


@pytest.mark.parametrize(
    "uri",
    [
        "s3:bucket/a",
        "s3:/bucket/a",
        "s3://",
        "s3:///a",
        "s3::https://host/a",
        "s3://https://host/a",
        "simplecache::s3://bucket/a",
        "s3://bucket/a::s3://other/b",
        "s3://bucket/a%3A%3Ab",
        "s3://bucket/..",
        "s3://bucket/a/../b",
        "s3://bucket/a/%2e%2E/b",
        "s3://bucket/a/%252e%252e/b",
        "s3://bucket/a/..;/b",
        "s3://bucket/./a",
        "s3://bucket//a",
        "s3://bucket/a//",
        "s3://bucket/a%2Fb",
        "s3://bucket/a%5Cb",
        "s3://bucket/a\\b",
        "s3://bucket/a%00b",
        "s3://bucket/a\nb",
        "s3://bucket/a%ffb",
        "s3://bucket/a%zz",
        "s3://bucket/a%3FversionId=1",
        "s3://bucket/a?versionId=1",
        "s3://bucket/a#1",
        "s3://bucket/a%231",
        "s3://bucket/*",
        "s3://bucket/[a]",
        "s3://bucket:80/a",
        "s3://buck%65t/a",
        "s3://[::1]/a",
        "s3://key:secret@bucket/a",
        "https://user@host/a",
        "https://host:0/a",
        "https://host:65536/a",
        "https://host:x/a",
        "https://host:/a",
        "https://ho st/a",
        "https://höst/a",
        "https://host\\@evil/a",
        "https://host%40evil/a",
        "https://host/a?token=secret",
    ],
)
def test_what_has_two_readings_is_no_place(uri: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_place(uri)

    assert ["uri"] == [field for field, _ in caught.value.violations]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("https://host/a?token=1", "has a query"),
        ("https://user:password@host/a", "names a user"),
        ("simplecache::s3://bucket/a", "chained"),
        ("https://host/a//b", "none may be empty"),
    ],
)
def test_the_text_says_what_is_wrong(uri: str, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=text):
        parse_place(uri)


@unhurried
@given(st.text(alphabet="ab./%25eF?#@:\\*é\0 ", max_size=12))
def test_whatever_parses_stays_under_its_root_for_every_reader(path: str) -> None:
    try:
        place = parse_place(f"https://host/root/{path}")
    except InvalidRequestError:
        return

    assert ("https", "host", "root") == (place.scheme, place.authority, place.parts[0])
    assert not any(part in ("", ".", "..") or set(part) & set("/\\?#%\0") for part in place.parts)
    assert parse_place(place.file_url("x")).parts == (*place.parts, "x")


def test_only_http_has_its_urls_encoded() -> None:
    assert "https://host/a%20b%40/x.json" == parse_place("https://host/a b%40").file_url("x.json")
    assert "s3://bucket/a b@/x.json" == parse_place("s3://bucket/a%20b@").file_url("x.json")
