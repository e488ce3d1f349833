"""What an operator may allow, and that nothing is touched beyond it."""

import importlib
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest

from adaptermux_server.adapters.sources import Sources
from adaptermux_server.errors import AdapterMuxError, InvalidRequestError, SourceForbiddenError, SourceInvalidError

ROOTS = ["s3://bucket/tenant", "https://host.example/adapters", "memory://place"]


@pytest.fixture
def sources(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """Sources that fail the test at the first look at the network, and at the first thing that is made."""
    sources = Sources(ROOTS, workspace)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("touched something")

    for owner, name in [
        (socket, "socket"),
        (socket, "getaddrinfo"),
        (fsspec, "filesystem"),
        (tempfile, "mkdtemp"),
        (os, "mkdir"),
    ]:
        monkeypatch.setattr(owner, name, refuse)
    return sources


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/tenant2/a",
        "s3://bucket/",
        "s3://other/tenant/a",
        "gs://bucket/tenant/a",
        "http://host.example/adapters/a",
        "https://host.example:8443/adapters/a",
        "https://evil.example/adapters/a",
        "hf://owner/name",
        "owner/name",
        "data:,x",
        "simplecache::s3://bucket/tenant/a",
        "zip://a::s3://bucket/tenant/b.zip",
        "/etc",
        "file:///etc",
    ],
)
def test_row_19_what_lies_under_no_root_is_forbidden_without_a_look(sources: Sources, uri: str) -> None:
    with pytest.raises(SourceForbiddenError, match="s3://bucket/tenant, https://host"), sources.open(uri):
        pass


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "relative",
        "s3:bucket",
        "s3://bucket/tenant/../a",
        "s3://bucket/tenant/a?versionId=1",
        "s3://key:secret@bucket/tenant/a",
        "s3://bucket/tenant/a::memory://place",
    ],
)
def test_what_is_no_uri_is_an_invalid_request_without_a_look(sources: Sources, uri: str) -> None:
    with pytest.raises(InvalidRequestError) as caught, sources.open(uri):
        pass

    assert ["uri"] == [field for field, _ in caught.value.violations]
    assert "secret" not in str(caught.value)


def test_a_local_folder_is_opened_in_its_place(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    sources = Sources([f"file://{tmp_path}/root", *ROOTS], workspace)

    with sources.open(f"{tmp_path}/root/a") as folder:
        found = folder

    assert (tmp_path / "root" / "a").resolve() == found
    assert found.is_dir()


def test_a_local_folder_that_is_missing_is_invalid(tmp_path: Path, workspace: Path) -> None:
    with pytest.raises(SourceInvalidError), Sources([tmp_path], workspace).open(f"{tmp_path}/a"):
        pass


@pytest.mark.parametrize("roots", [["/a", Path("/b"), "file:///c"], ["memory://place"], []])
def test_roots_are_listed_where_something_else_is_asked_for(workspace: Path, roots: Sequence[str | Path]) -> None:
    with pytest.raises(SourceForbiddenError) as caught, Sources(roots, workspace).open("/x"):
        pass

    for root in roots or ["none"]:
        assert str(root).removeprefix("file://") in str(caught.value)


@pytest.mark.parametrize(
    ("root", "text"),
    [
        ("relative", "isn't absolute"),
        ("", "has 0 characters"),
        ("file://host/a", "names a host"),
        ("s3://", "plain name"),
        ("s3://bucket/../a", "plain name"),
        ("s3://key:password@bucket", "names a user"),
        ("simplecache::s3://bucket", "chained"),
        ("ftp://host/a", "these are: s3"),
        ("github://owner:repo@/a", "names a user"),
        ("nonsense://x/a", "'nonsense' isn't supported"),
    ],
)
def test_a_root_that_can_hold_no_adapter_is_refused_at_the_start(workspace: Path, root: str, text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        Sources([root], workspace)

    assert not isinstance(caught.value, AdapterMuxError)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("root", "module", "extra"),
    [("s3://bucket", "s3fs", "s3"), ("gs://bucket", "gcsfs", "gcs"), ("https://host", "aiohttp", "http")],
)
def test_a_root_whose_package_is_missing_says_what_to_install(
    workspace: Path, root: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = importlib.import_module("fsspec.registry")  # fsspec.registry itself is a mapping of the same name
    monkeypatch.delitem(registry._registry, root.partition(":")[0], raising=False)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to say that there is none

    with pytest.raises(ValueError, match=rf"pip install 'adaptermux\[{extra}\]'"):
        Sources([root], workspace)


@pytest.mark.parametrize("offline", [True, False])
def test_roots_of_the_hub_need_it_to_be_online(workspace: Path, offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", offline)

    if offline:
        with pytest.raises(ValueError, match="HF_HUB_OFFLINE=0"):
            Sources(["hf://owner"], workspace)
    else:
        Sources(["hf://owner"], workspace)


def test_what_a_crash_left_in_the_workspace_is_removed_at_the_start(workspace: Path) -> None:
    (workspace / "fetch-old").mkdir(parents=True)
    (workspace / "fetch-old" / "config.json").write_text("{}")

    Sources(ROOTS, workspace)

    assert not (workspace / "fetch-old").exists()
