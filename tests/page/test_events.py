"""Forwards as a stream of events: told once each, bounded in every direction, ended with the server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import ClientResponse, ClientSession

from adaptermux_server.page import events, server
from tests.page.builders import Facts, forward, next_frame, page


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as made:
        yield made


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_FRAME_SECONDS", 0.02)


async def listen(session: ClientSession, url: str) -> ClientResponse:
    """A stream that is under way: its first sign of life has come, so it hears all that is recorded now."""
    response = await session.get(f"{url}/api/events")
    if response.status == 200:
        await response.content.readline()
    return response


async def test_a_forward_is_told_without_its_inputs_and_who_asked(session: ClientSession) -> None:
    facts = Facts()
    async with page(facts) as url, await listen(session, url) as response:
        facts.recorder.record(forward("b", "a", "b", "", request_id="secret-7"))
        told = await next_frame(response)

    (only,) = told["forwards"]
    assert "text/event-stream" == response.content_type
    assert {
        "traversal": 0.0,
        "compute": 0.05,
        "kernel": "gathered",
        "tokens": 20,
        "padded_tokens": 32,
        "adapters": [["b", 2], ["a", 1], ["", 1]],
        "waits": [0.25] * 4,
    } == {key: value for key, value in only.items() if key != "start"}
    # It began 50 ms before it was recorded, by the clock of the wall.
    assert 0.04 < told["now"] - only["start"] < 5


async def test_forwards_come_once_each_in_order_and_many_in_a_frame(
    session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_FRAME_SECONDS", 0.3)
    facts, seen, num_frames = Facts(), [], 0
    async with page(facts) as url, await listen(session, url) as response:
        for i in range(40):
            facts.recorder.record(forward(f"a{i}"))
            await asyncio.sleep(0)
        while len(seen) < 40:
            frame = await next_frame(response)
            assert len(seen) == frame["num_before"]
            seen += [each["adapters"][0][0] for each in frame["forwards"]]
            num_frames += 1

    assert [f"a{i}" for i in range(40)] == seen
    assert num_frames <= 2


async def test_a_forward_that_failed_is_told_as_such(session: ClientSession) -> None:
    facts = Facts()
    async with page(facts) as url, await listen(session, url) as response:
        record = forward("a")
        facts.recorder.record(type(record)(record.rows, record.started_at, 0.0, 0.01, None, 8))

        assert (await next_frame(response))["forwards"][0]["kernel"] is None


async def test_one_listener_too_many_is_refused_until_another_leaves(
    session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_LISTENERS", 2)
    # That it has left is noticed by itself, not when the next sign of life can't be sent.
    monkeypatch.setattr(events, "_SILENCE_SECONDS", 1000.0)
    async with page(Facts()) as url:
        taken = [await listen(session, url) for _ in range(2)]
        async with await listen(session, url) as refused:
            text = await refused.text()
        taken[0].close()
        again = await _listen_once_there_is_room(session, url)
        again.close()
        taken[1].close()

    assert (503, "5") == (refused.status, refused.headers["Retry-After"])
    assert "2 pages are watching" in text


async def test_a_listener_that_does_not_read_is_dropped(
    session: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold a place for ever."""
    monkeypatch.setattr(events, "MAX_LISTENERS", 1)
    monkeypatch.setattr(events, "_STALLED_SECONDS", 0.2)
    facts = Facts()
    async with page(facts) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as deaf:
            deaf.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.to_thread(deaf.recv, 1)
            filling = asyncio.create_task(_record_for_ever(facts))
            again = await _listen_once_there_is_room(session, url)
            filling.cancel()
            again.close()
            await asyncio.to_thread(_read_to_end, deaf)


async def test_who_falls_behind_misses_frames_and_sees_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what waits for a slow reader is bounded."""
    monkeypatch.setattr(events, "_FRAME_SECONDS", 0)
    facts = Facts()
    log = events.EventLog(facts.recorder)
    with log.listening():
        frames = log.frames()
        first = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
        facts.recorder.record(forward("first"))
        assert b"first" in await first
        for i in range(100):
            facts.recorder.record(forward(f"a{i}"))
            await asyncio.sleep(0.001)
        late = await anext(frames)
        await frames.aclose()
    await log.close()

    assert 32 == late.count(b"data: ")
    assert b'"num_before":69,' in late
    assert b"a99" in late


async def test_nothing_is_made_ready_while_nobody_listens() -> None:
    facts = Facts()
    log = events.EventLog(facts.recorder)
    before = asyncio.all_tasks()
    with log.listening(), log.listening():
        during = asyncio.all_tasks() - before
    await asyncio.gather(*during, return_exceptions=True)

    assert 1 == len(during)
    assert before == asyncio.all_tasks()


async def test_a_silence_is_broken_by_signs_of_life(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SILENCE_SECONDS", 0.02)
    async with page(Facts()) as url, await listen(session, url) as response:
        lines = [await response.content.readline() for _ in range(4)]

    assert {b"\n", b": alive\n"} == set(lines)


async def test_streams_end_with_the_recorder(session: ClientSession) -> None:
    """Which is closed when the server begins to stop."""
    facts = Facts()
    async with page(facts) as url, asyncio.timeout(10), await listen(session, url) as response:
        facts.recorder.close()

        assert b"" == (await response.content.read()).replace(b": alive", b"").strip()


async def test_streams_do_not_hold_up_the_end(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are ended, rather than waited for."""
    monkeypatch.setattr(server, "_LAST_WORDS_SECONDS", 60.0)
    async with asyncio.timeout(20):
        async with page(Facts()) as url:
            response = await listen(session, url)
        await response.content.read()

    assert response.content.at_eof()


async def test_a_listener_after_the_end_of_the_recorder_is_sent_away(session: ClientSession) -> None:
    facts = Facts()
    async with page(facts) as url, asyncio.timeout(10):
        facts.recorder.close()
        async with await listen(session, url) as response:
            await response.content.read()

        assert response.content.at_eof()


def _read_to_end(connection: socket.socket) -> None:
    """Return once the other side has closed the connection; a TimeoutError says that it hasn't."""
    connection.settimeout(10)
    with suppress(ConnectionResetError):
        while connection.recv(1 << 20):
            pass


async def _record_for_ever(facts: Facts) -> None:
    while True:
        facts.recorder.record(forward(*(f"adapter-{i}" for i in range(4096))))
        await asyncio.sleep(0.01)


async def _listen_once_there_is_room(session: ClientSession, url: str) -> ClientResponse:
    async with asyncio.timeout(20):
        while (response := await listen(session, url)).status != 200:
            response.close()
            await asyncio.sleep(0.02)
        return response
