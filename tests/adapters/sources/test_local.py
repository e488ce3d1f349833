"""Local sources: which URIs name a folder, and which are refused without a look at the network (contract row 19)."""

import os
import socket
from pathlib import Path

import pytest

from adaptermux_server.adapters.sources.local import resolve_source
from adaptermux_server.errors import InvalidRequestError, SourceForbiddenError, SourceInvalidError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "my adapter").mkdir(parents=True)
    return tmp_path / "root"


def test_an_absolute_path_under_a_root_is_found(root: Path) -> None:
    found = resolve_source(f"{root}/my adapter", [root])

    assert (root / "my adapter").resolve() == found


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "FILE://"])
def test_a_file_uri_is_percent_decoded(root: Path, prefix: str) -> None:
    found = resolve_source(f"{prefix}{root}/my%20adapter", [root])

    assert (root / "my adapter").resolve() == found


def test_a_root_that_is_a_symlink_itself_holds_its_folders(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)

    found = resolve_source(f"{tmp_path}/link/my adapter", [tmp_path / "link"])

    assert (root / "my adapter").resolve() == found


@pytest.mark.parametrize(
    "uri",
    [
        "http://host/a",
        "https://host/a",
        "s3://bucket/a",
        "hf://org/name",
        "data:,x",
        "org/name",
        "meta-llama/Llama-3.1",
    ],
)
def test_anything_that_must_be_fetched_is_forbidden_without_a_connection(
    root: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)

    with pytest.raises(SourceForbiddenError, match=str(root)):
        resolve_source(uri, [root])


@pytest.mark.parametrize(
    "uri", ["/etc", "file:///etc", "/", "{root}/..", "{root}/../root2", "{root}/../missing", "{root}2"]
)
def test_a_path_outside_every_root_is_forbidden_whether_it_exists_or_not(root: Path, uri: str) -> None:
    (root.parent / "root2").mkdir()

    with pytest.raises(SourceForbiddenError, match="outside the allowed folders"):
        resolve_source(uri.format(root=root), [root])


def test_a_symlink_that_leaves_the_root_is_forbidden(root: Path) -> None:
    (root / "way out").symlink_to("/etc")

    with pytest.raises(SourceForbiddenError):
        resolve_source(f"{root}/way out", [root])


def test_without_roots_every_path_is_forbidden(root: Path) -> None:
    with pytest.raises(SourceForbiddenError, match="none"):
        resolve_source(str(root), [])


@pytest.mark.parametrize("name", ["missing", "file", "loop", "x" * 300, "a/" * 1000])
def test_what_is_no_folder_is_an_invalid_source(root: Path, name: str) -> None:
    (root / "file").write_text("")
    (root / "loop").symlink_to(root / "loop")

    with pytest.raises(SourceInvalidError):
        resolve_source(f"{root}/{name}", [root])


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "relative",
        "./a",
        "../a/b",
        "~/a",
        "a/b/c",
        "/a\0b",
        "file:///a%00b",
        "file:a",
        "file://host/a",
        "file:///a?b=c",
        "file:///a#b",
        "file://[/a",
        "/" + "x" * 5000,
    ],
)
def test_what_is_no_path_is_an_invalid_request_for_uri(root: Path, uri: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        resolve_source(uri, [root])

    assert [field for field, _ in caught.value.violations] == ["uri"]


def test_the_root_itself_may_be_an_adapter(root: Path) -> None:
    assert Path(os.path.realpath(root)) == resolve_source(str(root), [root])
