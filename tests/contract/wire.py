"""Rows 11 and 12: bytes that are no calls, readers that don't read, and connections that do nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from adaptermux.v1 import infer_pb2
from tests.contract.world import MAX_STREAMED, Case, World, assert_refused, refusal
from tests.e2e.expected import TEXTS
from tests.e2e.harness import eventually, plain_channel
from tests.fuzz.frames import DATA, PREFACE, split
from tests.fuzz.record_corpus import CORPUS

_NUM_IDLE = 1000
_MAX_IDLE_BYTES = 100 << 20
_NUM_UNREAD = 150
_NUM_VANISHING = 6
_CLASSIFY = "/adaptermux.v1.Infer/Classify"
_SET_ALIAS = "/adaptermux.v1.AdapterAdmin/SetAlias"
_STREAM = "/adaptermux.v1.Infer/StreamAnalyze"
_MALFORMED = (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x04\x0a\x02\xff\xfe")
_NOT_HTTP2 = {
    "http-1.1": b"POST /adaptermux.v1.Infer/Classify HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "random-bytes": bytes(range(255, 0, -1)) * 40,
    "preface-then-noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(1, 256)) * 40,
    "nul": b"\0" * 10_000,
}


def _no_call(name: str, content: bytes, listener: str) -> Case:
    async def scenario(world: World) -> None:
        async with _connection(world, listener) as (reader, writer):
            writer.write(content)
            # The server closes the connection, after a GOAWAY at most.
            said = await asyncio.wait_for(_read_all(reader), 20)
        assert len(said) < 1000
        assert b"Traceback" not in said

    return Case(11, f"{name}-{listener}", scenario)


async def _tls_to_plain(world: World) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        await asyncio.wait_for(asyncio.open_connection(*_address(world), ssl=context), 20)
    except (ssl.SSLError, ConnectionError):
        return
    raise AssertionError("a plain listener finished a TLS handshake")


async def _malformed_message(world: World) -> None:
    for content in _MALFORMED:
        error = await refusal(_raw(world.data, _CLASSIFY)(content))
        assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields=["request"])
    error = await refusal(_raw(world.control, _SET_ALIAS)(_MALFORMED[0]))
    assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields=["request"])


async def _malformed_in_a_stream(world: World) -> None:
    good = infer_pb2.StreamAnalyzeRequest(request_id="good", request=_analyze("sentiment"))
    call: Any = world.data.stream_stream(_STREAM, response_deserializer=infer_pb2.StreamAnalyzeResponse.FromString)
    responses = [each async for each in call(iter([*_MALFORMED, good.SerializeToString()]))]
    codes = sorted((each.request_id, each.error.code) for each in responses)
    assert [*[("", grpc.StatusCode.INVALID_ARGUMENT.value[0])] * len(_MALFORMED), ("good", 0)] == codes


def _raw(channel: grpc.aio.Channel, method: str) -> Any:
    """A unary method of which any bytes may be sent."""
    return channel.unary_unary(method)


async def _unknown_method(world: World) -> None:
    for method in ("/adaptermux.v1.Infer/Nothing", "/nothing.v1.Nothing/Classify", "/"):
        for channel in (world.data, world.control):
            error = await refusal(_raw(channel, method)(b""))
            assert grpc.StatusCode.UNIMPLEMENTED == error.code


async def _vanishes_in_the_queue(world: World) -> None:
    async with world.harness.occupied(world.embed):
        channel = plain_channel(world.data_address)
        request = infer_pb2.ClassifyRequest(adapter="sentiment", inputs=[infer_pb2.Input(text=TEXTS[0])] * 4)
        method: Any = channel.unary_unary(_CLASSIFY)
        call = method(request.SerializeToString())
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == 4)
        await channel.close()
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == 0)
        await eventually(lambda: world.harness.registry.get("sentiment").num_in_flight == 0)
    assert call.done()


async def _vanishes_in_an_upload(world: World) -> None:
    """Its connection is gone in the middle of a file: nothing of it stays, neither in the store nor open."""
    recorded = split((CORPUS / "admin-upload.h2").read_bytes())
    last_chunk = max(at for at, frame in enumerate(recorded) if frame.type == DATA and frame.payload)
    begun = PREFACE + b"".join(map(bytes, recorded[:last_chunk]))
    before, num_open = (await world.status()).memory.store_bytes, world.process.num_fds()
    async with AsyncExitStack() as stack:
        for _ in range(_NUM_VANISHING):
            _, writer = await stack.enter_async_context(_connection(world, "admin"))
            writer.write(begun)
        # Sockets and files.
        await eventually(lambda: world.process.num_fds() > num_open + _NUM_VANISHING)
        await world.assert_answers()
    await eventually(lambda: world.process.num_fds() <= num_open)
    assert before == (await world.status()).memory.store_bytes


async def _slow_reader(world: World) -> None:
    """It sends request after request and reads no response: the server stops reading long before the last."""
    # Responses of some 90 KB: much more, all together, than flow control lets through unread.
    await world.load("wordy", world.root / "pos", labels=[letter * 500 for letter in "abc"])
    accepted = (await world.status()).rows.accepted
    stream = world.infer.StreamAnalyze()
    writing = asyncio.create_task(_write_all(stream))
    await _settled(world)
    num_ahead = (await world.status()).rows.accepted - accepted
    assert MAX_STREAMED <= num_ahead <= _NUM_UNREAD * 2 // 3
    await world.assert_answers()

    responses = [response async for response in stream]
    await writing
    assert {str(index) for index in range(_NUM_UNREAD)} == {response.request_id for response in responses}
    assert all(len(response.response.results) == 1 for response in responses)
    await world.unload("wordy")


def _analyze(adapter: str, text: str = TEXTS[0], **options: Any) -> infer_pb2.AnalyzeRequest:
    tasks = [infer_pb2.AnalyzeTask(adapter=adapter, **options)]
    return infer_pb2.AnalyzeRequest(tasks=tasks, inputs=[infer_pb2.Input(text=text)])


async def _write_all(stream: Any) -> None:
    request = _analyze("wordy", "the cat sat on the mat " * 7, tag=infer_pb2.TagOptions(top_k=3))
    for index in range(_NUM_UNREAD):
        await stream.write(infer_pb2.StreamAnalyzeRequest(request_id=str(index), request=request))
    await stream.done_writing()


async def _settled(world: World) -> None:
    """Return once the server has taken no further row for a while."""
    last = -1
    while last != (now := (await world.status()).rows.accepted):
        last = now
        await asyncio.sleep(0.5)


async def _idle_connections(world: World) -> None:
    before, num_open = world.process.memory_info().rss, world.process.num_fds()
    opened = [await asyncio.open_connection(*_address(world)) for _ in range(_NUM_IDLE)]
    try:
        await world.assert_answers()
        assert world.process.memory_info().rss - before < _MAX_IDLE_BYTES
    finally:
        for _, writer in opened:
            writer.transport.abort()
    await eventually(lambda: world.process.num_fds() < num_open + _NUM_IDLE // 10)


def _address(world: World, listener: str = "data") -> tuple[str, int]:
    address = world.data_address if listener == "data" else world.admin_address
    host, _, port = address.rpartition(":")
    return host, int(port)


@asynccontextmanager
async def _connection(world: World, listener: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*_address(world, listener))
    yield reader, writer
    writer.transport.abort()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


CASES = [
    *(_no_call(name, content, listener) for name, content in _NOT_HTTP2.items() for listener in ("data", "admin")),
    Case(11, "tls-to-plain", _tls_to_plain),
    Case(11, "malformed-message", _malformed_message),
    Case(11, "malformed-message-in-a-stream", _malformed_in_a_stream),
    Case(11, "unknown-method", _unknown_method),
    Case(12, "client-vanishes-in-the-queue", _vanishes_in_the_queue, inside=True),
    Case(12, "client-vanishes-in-an-upload", _vanishes_in_an_upload),
    Case(12, "slow-reader", _slow_reader),
    Case(12, "idle-connections", _idle_connections),
]
