"""Malformed HTTP/2 and malformed messages at both listeners of a server process."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.fuzz.chance import dice, rounds
from tests.fuzz.frames import PREFACE, Ending, RawFrame, endings, mutated, split
from tests.fuzz.outcomes import assert_foreseen
from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
_RECORDINGS = sorted(CORPUS.glob("*.h2"), key=lambda path: path.name)
# Listener and frames.
_SPLIT = [(path.stem.partition("-")[0], split(path.read_bytes())) for path in _RECORDINGS]
_AT_ONCE = 8
# A call that a change has left open waits for more, which never comes.
_QUIET_SECONDS = 0.15
_CLOSE_SECONDS = 10.0


async def _send(address: tuple[str, int], content: bytes) -> bytes:
    """What the server says to these bytes until it has nothing to add; then it must close its side."""
    reader, writer = await asyncio.open_connection(*address)
    said = b""
    try:
        writer.write(content)
        while part := await _next_part(reader):
            said += part
        if writer.can_write_eof():
            writer.write_eof()
        said += await asyncio.wait_for(reader.read(), _CLOSE_SECONDS)
    except TimeoutError:
        pytest.fail("the server keeps a connection that its client has closed")
    except OSError:  # the server was the first to close
        return said
    finally:
        writer.transport.abort()
    return said


async def _next_part(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(1 << 16), _QUIET_SECONDS)
    except TimeoutError:
        return b""


@pytest.mark.parametrize("path", _RECORDINGS, ids=lambda path: path.stem)
async def test_a_recording_as_it_is_gets_its_answer(target: Target, path: Path) -> None:
    content = await asyncio.to_thread(path.read_bytes)
    said = await _send(target.address(path.stem.partition("-")[0]), content)

    codes = [ending.code for ending in endings(said)]
    assert [0 if path.stem != "admin-upload" else grpc.StatusCode.INVALID_ARGUMENT.value[0]] == codes


@pytest.mark.timeout(0)
async def test_changed_recordings_are_answered_or_closed(target: Target) -> None:
    chance, found = dice("wire"), list[Ending]()
    for number in rounds(at_least=5):
        chosen = [chance.choice(_SPLIT) for _ in range(_AT_ONCE)]
        contents = [mutated(frames, chance) for _, frames in chosen]
        sends = [
            _send(target.address(listener), content) for (listener, _), content in zip(chosen, contents, strict=True)
        ]
        for content, said in zip(contents, await asyncio.gather(*sends), strict=True):
            for ending in endings(said):
                assert_foreseen(ending.code, ending.message, ending.details, content)
                found.append(ending)
        if number % 20 == 0:
            await asyncio.to_thread(target.assert_answers)
    # Else the changes are such that nothing gets through to the handlers.
    codes = {ending.code for ending in found}
    assert {0, grpc.StatusCode.INVALID_ARGUMENT.value[0]} <= codes


async def test_bytes_of_no_protocol_are_closed(target: Target) -> None:
    chance = dice("noise")
    for _ in range(20):
        content = chance.randbytes(chance.choice((1, 24, 3000, 70_000)))
        for listener in ("data", "admin"):
            assert [] == endings(await _send(target.address(listener), content))


async def test_a_client_cannot_write_into_the_log(target: Target) -> None:
    """gRPC's core writes what a client says as its reason to go."""
    forged = b'\n{"event": "audit", "forged": true}\n'
    reason = bytes(8) + forged + b"\xd0"
    goodbye = RawFrame(type=7, flags=0, stream=0, payload=reason)
    for listener in ("data", "admin"):
        await _send(target.address(listener), PREFACE + bytes(RawFrame(4, 0, 0, b"")) + bytes(goodbye))

    await asyncio.to_thread(target.assert_answers)
    assert not any("forged" in str(line) for line in target.server.log)


async def test_a_path_that_is_no_text_leaves_the_listener_open(target: Target) -> None:
    """gRPC's own loop decodes the path of every call, and where it failed there the whole listener was gone."""
    (listener, frames) = _SPLIT[0]
    at = next(at for at, frame in enumerate(frames) if b"/adaptermux" in frame.payload)
    broken = replace(frames[at], payload=frames[at].payload.replace(b"/adaptermux", b"/\x8adaptermux"))
    await _send(target.address(listener), PREFACE + b"".join(map(bytes, [*frames[:at], broken, *frames[at + 1 :]])))

    await asyncio.to_thread(target.assert_answers)


def test_a_connection_that_ends_within_a_frame_is_forgotten(target: Target) -> None:
    chance = dice("cut")
    for path in _RECORDINGS:
        content = path.read_bytes()
        for _ in range(20):
            with socket.create_connection(target.address(path.stem.partition("-")[0])) as connection:
                connection.sendall(content[: chance.randrange(len(content))])
