"""Adapters from a web server, real ones on this machine: honest, lying, slow, and leading elsewhere."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import fsspec
import pytest

from adaptermux_server.adapters.sources import Sources
from adaptermux_server.errors import (
    ShuttingDownError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceUnavailableError,
)
from tests.adapters.sources.conftest import CONTENT, LIMITS, content_of
from tests.adapters.sources.site import Site, send

Reply = Callable[[BaseHTTPRequestHandler], None]
CONFIG, WEIGHTS, MODEL_CONFIG = (f"/a/b/{name}" for name in CONTENT)


@pytest.fixture
def sources(site: Site, workspace: Path) -> Sources:
    return Sources([f"{site.url}/a"], workspace, LIMITS, fetch_seconds=20)


def test_an_adapter_is_fetched_and_removed_at_the_end(site: Site, sources: Sources) -> None:
    site.files["/a/b/README.md"] = b"not wanted"

    with sources.open(f"{site.url}/a/b") as folder:
        found = content_of(folder)

    assert found == CONTENT
    assert not folder.exists()
    assert [CONFIG, WEIGHTS, MODEL_CONFIG] == site.requests


def test_the_model_config_may_be_missing(site: Site, sources: Sources) -> None:
    del site.files[MODEL_CONFIG]

    with sources.open(f"{site.url}/a/b/") as folder:
        names = set(content_of(folder))

    assert {"adapter_config.json", "adapter_model.safetensors"} == names


def test_an_empty_file_is_a_file(site: Site, sources: Sources) -> None:
    site.files[MODEL_CONFIG] = b""

    with sources.open(f"{site.url}/a/b") as folder:
        assert content_of(folder)["config.json"] == b""


def test_an_encoded_path_reaches_the_server_encoded(site: Site, sources: Sources) -> None:
    site.files |= {f"/a/m%20%C3%A9%2B/{name}": content for name, content in CONTENT.items()}

    with sources.open(f"{site.url}/a/m é%2B") as folder:
        assert content_of(folder) == CONTENT


def test_each_fetch_gets_what_is_there_now(site: Site, sources: Sources) -> None:
    with sources.open(f"{site.url}/a/b"):
        site.files[CONFIG] = b'{"new": 1}'

    with sources.open(f"{site.url}/a/b") as folder:
        assert content_of(folder)["adapter_config.json"] == b'{"new": 1}'


def test_the_folder_goes_also_where_its_user_fails(site: Site, sources: Sources) -> None:
    with pytest.raises(ZeroDivisionError), sources.open(f"{site.url}/a/b"):
        raise ZeroDivisionError


def test_a_folder_whose_context_is_dropped_goes_too(site: Site, sources: Sources) -> None:
    """As where the caller of a worker thread was cancelled, and nobody is left to close it."""
    context = sources.open(f"{site.url}/a/b")
    folder = context.__enter__()

    del context

    assert not folder.exists()


@pytest.mark.parametrize("path", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(site: Site, sources: Sources, path: str) -> None:
    del site.files[path]

    with pytest.raises(SourceInvalidError, match="is missing") as caught, sources.open(f"{site.url}/a/b"):
        pass

    assert path.rpartition("/")[2] == caught.value.metadata["file"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/a/other/x", "/secret", "http://169.254.169.254/latest"])
def test_a_redirect_is_never_followed(site: Site, sources: Sources, status: int, target: str) -> None:
    site.replies[CONFIG] = lambda request: send(request, status, CONTENT["adapter_config.json"], Location=target)
    site.files[target] = b"{}"

    with pytest.raises(SourceInvalidError, match="none is followed") as caught, sources.open(f"{site.url}/a/b"):
        pass

    assert [CONFIG] == site.requests
    assert target not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "isn't allowed to read"),
        (403, "isn't allowed to read"),
        (204, "HTTP status 204"),
        (206, "HTTP status 206"),
        (418, "HTTP status 418"),
        (410, "is missing"),
        (429, "can't be fetched now"),
        (500, "can't be fetched now"),
        (503, "can't be fetched now"),
    ],
)
def test_other_answers_are_told_apart_without_their_text(site: Site, sources: Sources, status: int, text: str) -> None:
    site.replies[WEIGHTS] = lambda request: send(request, status, b"" if status == 204 else b"private")

    error = SourceUnavailableError if text.endswith("now") else SourceInvalidError
    with pytest.raises(error, match=text) as caught, sources.open(f"{site.url}/a/b"):
        pass

    assert "private" not in str(caught.value)


def endless(request: BaseHTTPRequestHandler) -> None:
    """No length announced, and no end."""
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b"x" * 4096)


def chunked(request: BaseHTTPRequestHandler) -> None:
    request.protocol_version = "HTTP/1.1"
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    while True:
        request.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def honest(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, b"x" * (LIMITS.config_bytes + 1))


def announced(request: BaseHTTPRequestHandler) -> None:
    """Only the length is too large; the body never comes."""
    send(request, 200, b"x", Content_Length=1 << 40)


@pytest.mark.parametrize("reply", [endless, chunked, honest, announced])
def test_no_more_than_the_limit_is_fetched(site: Site, sources: Sources, reply: Reply) -> None:
    site.replies[CONFIG] = reply

    with pytest.raises(SourceInvalidError, match="more than the 1024 bytes"), sources.open(f"{site.url}/a/b"):
        pass


def test_a_file_of_just_the_limit_is_fetched(site: Site, sources: Sources) -> None:
    site.files[CONFIG] = b"x" * LIMITS.config_bytes

    with sources.open(f"{site.url}/a/b") as folder:
        assert LIMITS.config_bytes == (folder / "adapter_config.json").stat().st_size


def test_a_body_shorter_than_announced_is_refused(site: Site, sources: Sources) -> None:
    site.replies[WEIGHTS] = lambda request: send(request, 200, b"x" * 100, Content_Length=200)

    with pytest.raises(SourceUnavailableError, match="can't be fetched now"), sources.open(f"{site.url}/a/b"):
        pass


def test_of_a_body_longer_than_announced_no_more_is_taken(site: Site, sources: Sources) -> None:
    """HTTP ends a body at its announced length; whether what follows spoils the whole is the library's choice."""
    site.replies[WEIGHTS] = lambda request: send(request, 200, b"x" * 4096, Content_Length=100)

    found = b""
    with suppress(SourceUnavailableError), sources.open(f"{site.url}/a/b") as folder:
        found = content_of(folder)["adapter_model.safetensors"]

    assert found in (b"", b"x" * 100)


def test_a_compressed_body_is_refused_unopened(site: Site, sources: Sources) -> None:
    site.replies[CONFIG] = lambda request: send(request, 200, b"x", Content_Encoding="gzip")

    with pytest.raises(SourceInvalidError, match="compressed"), sources.open(f"{site.url}/a/b"):
        pass

    assert "identity" == site.headers[0]["Accept-Encoding"]


@pytest.mark.parametrize("when", ["before the headers", "drop by drop"])
def test_a_slow_server_meets_the_time_limit(site: Site, workspace: Path, when: str) -> None:
    def slow(request: BaseHTTPRequestHandler) -> None:
        if when == "drop by drop":
            request.send_response(200)
            request.end_headers()
        while not site.closing.wait(0.05):
            if when == "drop by drop":
                request.wfile.write(b"x")

    site.replies[WEIGHTS] = slow
    sources = Sources([site.url], workspace, LIMITS, fetch_seconds=0.5)
    begin = time.monotonic()

    with pytest.raises(SourceUnavailableError, match=r"within 0\.5 s"), sources.open(f"{site.url}/a/b"):
        pass

    assert time.monotonic() - begin < 4  # well before the grace for what can't be cancelled


def test_closing_ends_a_fetch_under_way_and_refuses_those_to_come(site: Site, workspace: Path) -> None:
    asked = threading.Event()

    def silent(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        site.closing.wait(20)

    site.replies[WEIGHTS] = silent
    sources = Sources([site.url], workspace, LIMITS, fetch_seconds=20)
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(sources.open(f"{site.url}/a/b").__enter__)
        assert asked.wait(10)
        begin = time.monotonic()
        sources.close()

        with pytest.raises(ShuttingDownError):
            fetching.result(10)

    assert time.monotonic() - begin < 5
    with pytest.raises(ShuttingDownError), sources.open(f"{site.url}/a/b"):
        pass
    assert [] == list(workspace.iterdir())


def test_a_server_that_is_down_can_be_tried_again(
    site: Site, workspace: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = Sources(["http://127.0.0.1:1"], workspace, fetch_seconds=20)

    with pytest.raises(SourceUnavailableError, match="retry later") as caught, sources.open("http://127.0.0.1:1/a"):
        pass

    assert "http://127.0.0.1:1/a/adapter_config.json can't be fetched now" in str(caught.value)
    assert "Cannot connect" not in str(caught.value)
    assert "Cannot connect" in caplog.text


def test_credentials_come_from_the_operators_configuration(
    site: Site, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"headers": {"Authorization": "Bearer x"}, "skip_auto_headers": ["User-Agent"]}
    monkeypatch.setitem(fsspec.config.conf, "https", {"client_kwargs": options})

    with sources.open(f"{site.url}/a/b"):
        pass

    assert [("Bearer x", "identity")] * 3 == [(h["Authorization"], h["Accept-Encoding"]) for h in site.headers]
    assert "User-Agent" not in site.headers[0]


def test_the_operators_configuration_switches_no_redirects_on(
    site: Site, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "http", {"allow_redirects": True})
    site.replies[CONFIG] = lambda request: send(request, 302, Location="/secret")

    with pytest.raises(SourceInvalidError, match="none is followed"), sources.open(f"{site.url}/a/b"):
        pass

    assert [CONFIG] == site.requests


def test_many_fetches_at_once_dont_meet(site: Site, sources: Sources) -> None:
    for number in range(8):
        site.files |= {f"/a/{number}/{name}": b"%d" % number for name in CONTENT}
    found: dict[int, dict[str, bytes]] = {}
    together = threading.Barrier(8, timeout=30)

    def fetch(number: int) -> None:
        with sources.open(f"{site.url}/a/{number}") as folder:
            together.wait()
            found[number] = content_of(folder)

    threads = [threading.Thread(target=fetch, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {number: dict.fromkeys(CONTENT, b"%d" % number) for number in range(8)} == found


def test_an_https_root_allows_no_http(site: Site, workspace: Path) -> None:
    sources = Sources([site.url.replace("http:", "https:")], workspace)

    with pytest.raises(SourceForbiddenError), sources.open(f"{site.url}/a/b"):
        pass

    assert [] == site.requests
