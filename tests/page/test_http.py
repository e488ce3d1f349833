"""What every answer at the metrics address has in common, and who gets none."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession

from adaptermux_server.page.server import MetricsAddressError
from tests.page.builders import Facts, page

PATHS = ("/metrics", "/healthz", "/readyz", "/", "/assets/page.js", "/api/status", "/api/events", "/nowhere")


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as made:
        yield made


async def status_of(session: ClientSession, url: str, headers: Mapping[str, str] | None = None) -> int:
    async with session.get(url, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
async def test_metrics_come_in_the_form_that_is_asked_for(
    session: ClientSession, accept: str, content_type: str
) -> None:
    async with page(Facts()) as url, session.get(f"{url}/metrics", headers={"Accept": accept}) as response:
        text = await response.text()

    assert content_type == response.content_type
    assert "made_up 7.0" in text


async def test_a_server_is_alive_before_it_is_ready(session: ClientSession) -> None:
    facts = Facts(ready=False)
    async with page(facts) as url:
        before = [await status_of(session, url + path) for path in ("/healthz", "/readyz")]
        facts.ready = True
        after = [await status_of(session, url + path) for path in ("/healthz", "/readyz")]

    assert ([200, 503], [200, 200]) == (before, after)


async def test_there_is_no_page_unless_it_is_asked_for(session: ClientSession) -> None:
    async with page(Facts(), live=False) as url:
        statuses = {path: await status_of(session, url + path) for path in PATHS}

    assert {"/metrics", "/healthz", "/readyz"} == {path for path, status in statuses.items() if status == 200}
    assert {200, 404} == set(statuses.values())


async def test_the_page_and_all_it_names_is_there(session: ClientSession) -> None:
    async with page(Facts()) as url:
        async with session.get(f"{url}/") as response:
            text = await response.text()
        named = [part.split('"')[0] for attribute in ('src="', 'href="') for part in text.split(attribute)[1:]]
        statuses = {name: await status_of(session, f"{url}/{name}") for name in named}

    assert "text/html" == response.content_type
    assert len(named) >= 5
    assert {200} == set(statuses.values()), statuses


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_done_but_read(session: ClientSession, method: str) -> None:
    async with page(Facts()) as url:
        for path in PATHS:
            async with session.request(method, url + path) as response:
                assert 405 == response.status, path


async def test_every_answer_says_what_browsers_may_do_with_it(session: ClientSession) -> None:
    """No other origin is allowed anything, whatever it calls itself."""
    async with page(Facts()) as url:
        for path in PATHS:
            async with session.get(url + path, headers={"Origin": "https://evil.example"}) as response:
                headers = response.headers
            assert "nosniff" == headers["X-Content-Type-Options"], path
            assert "same-origin" == headers["Cross-Origin-Resource-Policy"], path
            assert "default-src 'self'" in headers["Content-Security-Policy"], path
            assert "unsafe" not in headers["Content-Security-Policy"], path
            assert not [name for name in headers if name.startswith("Access-Control")], path
            expected = "no-cache" if path in ("/", "/assets/page.js") else "no-store"
            assert expected == headers["Cache-Control"], path


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("localhost.evil.example:80", 403),
        ("127.0.0.1.evil.example", 403),
        ("[", 403),
        ("", 403),
        ("localhost:9090", 200),
        ("page.localhost", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
    ],
)
async def test_over_loopback_a_name_of_another_site_gets_nothing(
    session: ClientSession, host: str, status: int
) -> None:
    """DNS rebinding: the site's name has come to mean 127.0.0.1."""
    async with page(Facts()) as url:
        statuses = {path: await status_of(session, url + path, {"Host": host}) for path in ("/", "/api/status")}

    assert {status} == set(statuses.values())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
async def test_pages_of_other_sites_get_nothing(
    session: ClientSession, headers: Mapping[str, str], status: int
) -> None:
    """But for a link that somebody follows."""
    async with page(Facts()) as url:
        assert status == await status_of(session, f"{url}/api/status", headers)


@pytest.mark.parametrize(
    "path",
    ["/assets/../server.py", "/assets/%2e%2e/server.py", "/assets/..%2fserver.py", "/assets/", "/assets//etc/hosts"],
)
async def test_no_other_file_can_be_read(path: str) -> None:
    async with page(Facts()) as url:
        assert await raw_status(url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n") in (403, 404)


async def test_a_probe_that_names_no_host_is_answered() -> None:
    """HTTP/1.0, as some load balancers speak it; browsers always name one."""
    async with page(Facts()) as url:
        assert 200 == await raw_status(url, "GET /healthz HTTP/1.0\r\n\r\n")


async def test_the_text_of_an_unexpected_error_stays_inside(session: ClientSession) -> None:
    def fail() -> None:
        raise RuntimeError("secret-path")

    facts = Facts(read_picture=fail)  # type: ignore[arg-type]
    async with page(facts) as url, session.get(f"{url}/api/status") as response:
        text = await response.text()

    assert 500 == response.status
    assert "secret" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("address", ["127.0.0.1:no-port", "127.0.0.1:99999", "127.0.0.1", ":9090", "nowhere.invalid:1"])
async def test_what_is_no_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(MetricsAddressError, match=address):
        async with page(Facts(), address=address):
            pass


async def test_a_taken_port_is_refused_by_name() -> None:
    async with page(Facts()) as url:
        taken = url.removeprefix("http://")
        with pytest.raises(MetricsAddressError, match=taken):
            async with page(Facts(), address=taken):
                pass


async def test_a_port_is_free_again_after_the_end() -> None:
    async with page(Facts()) as url:
        pass
    async with page(Facts(), address=url.removeprefix("http://")) as again:
        assert url == again


def test_the_scripts_never_make_markup_of_text() -> None:
    """The policy forbids it too, but only browsers that know trusted types hold to it."""
    static = Path(__file__).parents[2] / "server/adaptermux_server/page/static"
    scripts = {file.name: file.read_text("utf-8") for file in static.glob("*.js")}

    assert scripts
    for name, text in scripts.items():
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
            assert word not in text, (name, word)


async def raw_status(url: str, request: str) -> int:
    """Of a request as it is written, which a client would tidy up."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])
