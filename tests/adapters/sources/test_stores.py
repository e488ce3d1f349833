"""Adapters from stores: S3 by a real server on this machine, memory, and the model hub without a network."""

import errno
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import fsspec
import pytest
import s3fs

from adaptermux_server.adapters.limits import CheckpointLimits
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.errors import AdapterMuxError, SourceInvalidError, SourceUnavailableError, StoreFullError
from tests.adapters.sources.conftest import CONTENT, LIMITS, content_of
from tests.adapters.sources.site import Site, send, serve

KEY = "tenant/a/"


@pytest.fixture
def s3_sources(s3: Any, workspace: Path) -> Sources:
    return Sources(["s3://bucket/tenant"], workspace, LIMITS, fetch_seconds=30)


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    for name, content in CONTENT.items():
        files.pipe(f"/place/a/{name}", content)
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def memory_sources(memory: Any, workspace: Path) -> Sources:
    return Sources(["memory://place"], workspace, LIMITS, fetch_seconds=20)


def test_an_adapter_is_fetched_from_s3(s3: Any, s3_sources: Sources) -> None:
    s3.put_object(Bucket="bucket", Key=f"{KEY}README.md", Body=b"not wanted")

    with s3_sources.open("s3://bucket/tenant/a") as folder:
        found = content_of(folder)

    assert found == CONTENT


def test_s3_without_a_model_config_has_none(s3: Any, s3_sources: Sources) -> None:
    s3.delete_object(Bucket="bucket", Key=f"{KEY}config.json")

    with s3_sources.open("s3://bucket/tenant/a") as folder:
        assert {*CONTENT} - {"config.json"} == set(content_of(folder))


def test_weights_of_many_pieces_come_whole_from_s3_in_one_stream(
    s3: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where s3fs fetches in parallel, nobody learns of the bytes before they are all there."""
    monkeypatch.setitem(fsspec.config.conf, "s3", {"default_block_size": 1 << 20})
    monkeypatch.delattr(s3fs.S3FileSystem, "_download_file_part_concurrent", raising=False)
    content = bytes(range(256)) * (5 << 12)
    s3.put_object(Bucket="bucket", Key=f"{KEY}adapter_model.safetensors", Body=content)
    limits = CheckpointLimits(weights_bytes=len(content))

    with Sources(["s3://bucket"], workspace, limits).open("s3://bucket/tenant/a") as folder:
        assert content == (folder / "adapter_model.safetensors").read_bytes()


def test_s3_serves_what_is_there_now(s3: Any, s3_sources: Sources) -> None:
    with s3_sources.open("s3://bucket/tenant/a"):
        s3.put_object(Bucket="bucket", Key=f"{KEY}adapter_config.json", Body=b'{"new": 1}')
        s3.delete_object(Bucket="bucket", Key=f"{KEY}config.json")

    with s3_sources.open("s3://bucket/tenant/a") as folder:
        found = content_of(folder)

    assert b'{"new": 1}' == found["adapter_config.json"]
    assert "config.json" not in found


def test_a_file_above_the_limit_in_s3_is_refused(s3: Any, s3_sources: Sources) -> None:
    s3.put_object(Bucket="bucket", Key=f"{KEY}config.json", Body=b"x" * (LIMITS.config_bytes + 1))

    with pytest.raises(SourceInvalidError, match="more than the 1024"), s3_sources.open("s3://bucket/tenant/a"):
        pass


@pytest.mark.parametrize("uri", ["s3://bucket/tenant/missing", "s3://bucket/tenant", "s3://no-bucket/tenant/a"])
def test_s3_says_what_is_missing(s3: Any, workspace: Path, uri: str) -> None:
    sources = Sources(["s3://bucket/tenant", "s3://no-bucket"], workspace, fetch_seconds=30)

    with pytest.raises(SourceInvalidError, match=r"adapter_config\.json is missing"), sources.open(uri):
        pass


def test_a_folder_of_s3_in_the_place_of_a_file_is_no_file(s3: Any, s3_sources: Sources) -> None:
    s3.delete_object(Bucket="bucket", Key=f"{KEY}adapter_config.json")
    s3.put_object(Bucket="bucket", Key=f"{KEY}adapter_config.json/x", Body=b"{}")

    with pytest.raises(SourceInvalidError, match="is missing"), s3_sources.open("s3://bucket/tenant/a"):
        pass


def test_a_folder_of_a_store_in_the_place_of_a_file_is_no_file(memory_sources: Sources, memory: Any) -> None:
    memory.rm("/place/a/config.json")
    memory.pipe("/place/a/config.json/x", b"{}")

    with memory_sources.open("memory://place/a") as folder:
        assert {*CONTENT} - {"config.json"} == set(content_of(folder))


def test_an_s3_server_that_is_down_is_given_up_at_the_time_limit(
    s3: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    sources = Sources(["s3://bucket"], workspace, fetch_seconds=2)
    begin = time.monotonic()

    with pytest.raises(SourceUnavailableError, match="retry later"), sources.open("s3://bucket/tenant/a"):
        pass

    assert time.monotonic() - begin < 6


def test_many_fetches_of_one_adapter_at_once_are_all_whole(
    memory_sources: Sources, s3_sources: Sources, memory: Any
) -> None:
    memory.pipe("/place/a/adapter_model.safetensors", bytes(range(256)) * (LIMITS.weights_bytes // 256))
    wanted = {name: memory.cat_file(f"/place/a/{name}") for name in CONTENT}
    found: list[bool] = []

    def fetch(sources: Sources, uri: str, content: dict[str, bytes]) -> None:
        with sources.open(uri) as folder:
            found.append(content == content_of(folder))

    ways = [(memory_sources, "memory://place/a", wanted), (s3_sources, "s3://bucket/tenant/a", CONTENT)] * 8
    threads = [threading.Thread(target=fetch, args=way, daemon=True) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [True] * 16 == found


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.pipe("/place/a/adapter_config.json", b"[]"),
        lambda files: files.rm("/place/a/adapter_config.json"),
        lambda files: files.pipe("/place/a/config.json", b"other"),
    ],
)
def test_a_change_during_the_fetch_is_seen(
    memory_sources: Sources, memory: Any, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]
) -> None:
    """Else the configuration of one upload could meet the weights of the next."""
    memory.rm("/place/a/config.json")
    get_file = type(memory).get_file

    def change_after_the_weights(self: Any, url: str, *args: Any, **options: Any) -> None:
        get_file(self, url, *args, **options)
        if url.endswith("safetensors"):
            change(memory)

    monkeypatch.setattr(type(memory), "get_file", change_after_the_weights)

    with pytest.raises(SourceInvalidError, match=r"changed|missing"), memory_sources.open("memory://place/a"):
        pass


def test_a_file_that_is_longer_than_announced_is_seen(
    memory_sources: Sources, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(memory), "info", lambda *_: {"type": "file", "size": 1})

    with pytest.raises(SourceInvalidError, match="changed while"), memory_sources.open("memory://place/a"):
        pass


def test_a_store_that_lies_about_sizes_is_stopped_at_the_limit(
    memory_sources: Sources, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/place/a/adapter_config.json", b"x" * 5000)
    monkeypatch.setattr(type(memory), "info", lambda *_: {"type": "file", "size": 1})

    with pytest.raises(SourceInvalidError, match="more than the 1024"), memory_sources.open("memory://place/a"):
        pass


def test_a_store_that_hangs_in_a_thread_is_left_at_the_time_limit(
    memory: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(type(memory), "info", lambda *_: released.wait(30))
    sources = Sources(["memory://place"], workspace, fetch_seconds=0.3)
    begin = time.monotonic()

    with pytest.raises(SourceUnavailableError, match=r"within 0\.3 s"), sources.open("memory://place/a"):
        pass

    assert time.monotonic() - begin < 4
    released.set()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError("key=secret"), SourceInvalidError("the server isn't allowed to read {}")),
        (RuntimeError("key=secret"), SourceUnavailableError("{} can't be fetched now")),
        (TimeoutError("key=secret"), SourceUnavailableError("{} can't be fetched now")),
        (OSError(errno.ENOSPC, "key=secret"), StoreFullError()),
    ],
)
def test_no_text_of_a_library_reaches_the_client(
    memory_sources: Sources, memory: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: AdapterMuxError
) -> None:
    get_file = type(memory).get_file

    def fail(self: Any, url: str, *args: Any, **options: Any) -> None:
        if url.endswith("/config.json"):
            raise error
        get_file(self, url, *args, **options)

    monkeypatch.setattr(type(memory), "get_file", fail)

    with pytest.raises(type(expected)) as caught, memory_sources.open("memory://place/a"):
        pass

    assert str(caught.value).startswith(str(expected).format("memory://place/a/config.json"))
    assert "secret" not in str(caught.value)


def test_a_library_that_lacks_a_file_of_its_own_is_no_missing_adapter(
    memory_sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file of its credentials is gone."""

    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("/root/.aws/secret")

    monkeypatch.setattr(fsspec, "filesystem", fail)

    with pytest.raises(SourceUnavailableError, match="can't be fetched now") as caught:
        memory_sources.open("memory://place/a").__enter__()

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_of_an_s3_server_leads_nowhere(
    s3: Any, s3_sources: Sources, site: Site, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Here to another server on this machine, which holds all that is asked for."""

    def redirect(request: BaseHTTPRequestHandler) -> None:
        send(request, status, Location=f"{site.url}/a/b/adapter_config.json")

    with serve() as front:
        front.answer = redirect  # type: ignore[method-assign]
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)

        with (
            pytest.raises(SourceUnavailableError, match="can't be fetched now"),
            s3_sources.open("s3://bucket/tenant/a"),
        ):
            pass

    assert [] == site.requests
