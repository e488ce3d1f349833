"""UploadAdapter over a real connection: every refusal is an answer, and whoever vanishes leaves nothing (row 12)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport.admin import SERVICE_NAME
from adaptermux_server.transport.border import Context, client_stream
from adaptermux_server.transport.decoding import Decoding
from adaptermux_server.transport.upload import MAX_CHUNK_BYTES, upload_adapter
from tests.adapters.store.builders import Content, announced
from tests.adapters.uploading import World, joined, uploading

if TYPE_CHECKING:
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub

_Request = adapter_admin_pb2.UploadAdapterRequest
_Response = adapter_admin_pb2.UploadAdapterResponse
_Call = grpc.aio.StreamUnaryCall[_Request, _Response]
_METHOD = f"/{SERVICE_NAME}/UploadAdapter"
_PATIENCE_SECONDS = 20.0
_DIGEST = "0f" * 32


class Servicer(adapter_admin_pb2_grpc.AdapterAdminServicer):
    def __init__(self, uploads: Uploads) -> None:
        self.metrics = CollectorRegistry()
        self.rpc_metrics = RpcMetrics(self.metrics)
        self.uploads = uploads

    @client_stream
    async def UploadAdapter(self, request_iterator: AsyncIterator[_Request], context: Context) -> _Response:
        return await upload_adapter(self.uploads, request_iterator)


class Rig:
    """A server of this one RPC, and a client that never retries."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.servicer = Servicer(world.uploads)  # type: ignore[abstract]
        self.server = grpc.aio.server(
            interceptors=[Decoding(SERVICE_NAME)], options=[("grpc.max_receive_message_length", 4 << 20)]
        )
        adapter_admin_pb2_grpc.add_AdapterAdminServicer_to_server(self.servicer, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.channel = self.new_channel()
        self.admin = cast("AdapterAdminAsyncStub", adapter_admin_pb2_grpc.AdapterAdminStub(self.channel))

    def new_channel(self) -> grpc.aio.Channel:
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.insecure_channel(self.address, options=options)

    async def upload(self, content: Content, revision: str = "") -> _Response:
        return await self.admin.UploadAdapter(iter(messages(content, revision)), timeout=_PATIENCE_SECONDS)

    def open(self, channel: grpc.aio.Channel | None = None, **options: Any) -> _Call:
        """A call whose messages the test writes."""
        return adapter_admin_pb2_grpc.AdapterAdminStub(channel or self.channel).UploadAdapter(**options)  # type: ignore[return-value]

    async def open_halfway(self, channel: grpc.aio.Channel | None = None, **options: Any) -> _Call:
        """Such a call after a first chunk, which the server has begun to take."""
        call = self.open(channel, **options)
        await call.write(metadata(announced(self.world.large)))
        await call.write(_Request(chunk=b"{"))
        await self.eventually(lambda: len(self.incoming) > 0)
        return call

    @property
    def incoming(self) -> list[Path]:
        return list((self.world.root / "incoming").iterdir())

    async def eventually(self, holds: Callable[[], bool]) -> None:
        """For what happens on the other side of a socket, of which no event tells."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.005)

    def num_calls(self, code: str) -> float:
        """As the metrics count them."""
        lines = generate_latest(self.servicer.metrics).decode().splitlines()
        found = [line for line in lines if 'UploadAdapter"' in line and f'"{code}"' in line and "_total{" in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[Rig]:
    async with uploading(root) as world:
        rig = Rig(world)
        await rig.server.start()
        yield rig
        await rig.channel.close()
        await rig.server.stop(0)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with serving(tmp_path) as rig:
        yield rig


def metadata(files: Iterable[tuple[str, int]], revision: str = "") -> _Request:
    announced = [adapter_admin_pb2.UploadFile(name=name, size_bytes=num_bytes) for name, num_bytes in files]
    return _Request(metadata=adapter_admin_pb2.UploadMetadata(files=announced, revision=revision))


def messages(content: Content, revision: str = "") -> list[_Request]:
    sent = joined(content)
    starts = range(0, len(sent), MAX_CHUNK_BYTES)
    chunks = [_Request(chunk=sent[begin : begin + MAX_CHUNK_BYTES]) for begin in starts]
    return [metadata(announced(content), revision), *chunks]


async def refusal(call: Any) -> AdapterMuxClientError:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.wait_for(call, _PATIENCE_SECONDS)
    return from_rpc_error(caught.value)


async def test_an_upload_is_in_the_store_when_it_is_answered(rig: Rig) -> None:
    """In several messages of the largest size."""
    content, digest = rig.world.large, digest_of(rig.world.large)

    response = await rig.upload(content, digest)

    assert _Response(revision=digest, size_bytes=len(joined(content))) == response
    assert [digest] == rig.world.stored
    await rig.eventually(lambda: rig.num_calls("OK") == 1)


async def test_what_is_there_already_is_answered_before_the_chunks_are_sent(rig: Rig) -> None:
    content, digest = rig.world.content, digest_of(rig.world.content)
    await rig.upload(content)
    call = rig.open()
    await call.write(metadata(announced(content), digest))

    response = await asyncio.wait_for(call, _PATIENCE_SECONDS)

    assert _Response(revision=digest, size_bytes=len(joined(content)), already_stored=True) == response


async def test_what_is_there_already_may_be_answered_while_the_client_sends(rig: Rig) -> None:
    content, digest = rig.world.large, digest_of(rig.world.large)

    responses = [await rig.upload(content, digest) for _ in range(5)]

    assert [False, True, True, True, True] == [response.already_stored for response in responses]


GOOD = [("adapter_config.json", 2), ("adapter_model.safetensors", 9)]
CHUNK, NOTHING = _Request(chunk=b"{}"), _Request()
REFUSED: dict[str, tuple[list[_Request], str, str, list[str]]] = {
    "no-message": ([], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata"]),
    "nothing-first": ([NOTHING], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata"]),
    "chunk-first": ([CHUNK], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata"]),
    "no-files": ([metadata([])], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata.files"]),
    "revision": ([metadata(GOOD, "../x")], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata.revision"]),
    "short-revision": ([metadata(GOOD, "0f0f0f0f")], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata.revision"]),
    "metadata-twice": ([metadata(GOOD), CHUNK, metadata(GOOD)], "INVALID_ARGUMENT", "INVALID_REQUEST", ["metadata"]),
    "nothing-later": ([metadata(GOOD), CHUNK, NOTHING], "INVALID_ARGUMENT", "INVALID_REQUEST", ["chunk"]),
    "empty-chunk": ([metadata(GOOD), _Request(chunk=b"")], "INVALID_ARGUMENT", "INVALID_REQUEST", ["chunk"]),
    "large-chunk": (
        [metadata([*GOOD[:1], (GOOD[1][0], 9 << 20)]), _Request(chunk=bytes(MAX_CHUNK_BYTES + 1))],
        *("INVALID_ARGUMENT", "INVALID_REQUEST", ["chunk"]),
    ),
    "name": ([metadata([*GOOD, ("../../etc/passwd", 1)])], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "no-weights": ([metadata(GOOD[:1])], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "negative-length": ([metadata([(GOOD[0][0], -1), GOOD[1]])], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "length": ([metadata([GOOD[0], (GOOD[1][0], 1 << 62)])], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "too-few-bytes": ([metadata(GOOD), CHUNK], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "too-many-bytes": ([metadata(GOOD), _Request(chunk=bytes(12))], "INVALID_ARGUMENT", "SOURCE_INVALID", []),
    "no-adapter": ([metadata(GOOD), _Request(chunk=b"{}not torch")], "INVALID_ARGUMENT", "CONFIG_UNSUPPORTED", []),
    "digest": ([metadata(GOOD, _DIGEST), _Request(chunk=bytes(11))], "DATA_LOSS", "DIGEST_MISMATCH", []),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_says_what_is_wrong_and_leaves_nothing_behind(rig: Rig, name: str) -> None:
    sent, code, reason, fields = REFUSED[name]

    error = await refusal(rig.admin.UploadAdapter(iter(sent)))

    assert (code, reason, fields) == (error.code.name, error.reason, [field for field, _ in error.violations])
    assert str(rig.world.root) not in f"{error.message} {error.metadata}"
    assert [] == rig.world.stored
    await rig.eventually(lambda: rig.num_calls(code) == 1)
    assert digest_of(rig.world.content) == (await rig.upload(rig.world.content)).revision


@pytest.mark.parametrize("before", [[], [metadata(GOOD)], [metadata(GOOD), CHUNK]], ids=len)
async def test_row_11_bytes_that_are_no_message_are_refused(rig: Rig, before: list[_Request]) -> None:
    raw: Any = rig.channel.stream_unary(_METHOD)

    error = await refusal(raw(iter([*(each.SerializeToString() for each in before), b"\xff" * 100])))

    assert ("INVALID_ARGUMENT", "INVALID_REQUEST") == (error.code.name, error.reason)
    assert ["request"] == [field for field, _ in error.violations]
    assert [] == rig.world.stored


async def test_row_12_a_client_that_vanishes_leaves_nothing_behind(rig: Rig) -> None:
    """Its connection ends, in the midst of an upload, as often as there are places, and once more."""
    for _ in range(4):
        channel = rig.new_channel()
        call = await rig.open_halfway(channel)
        await channel.close()
        await rig.eventually(lambda: rig.incoming == [])
        assert call.done()

    assert [] == rig.world.stored
    assert digest_of(rig.world.content) == (await rig.upload(rig.world.content)).revision


async def test_row_12_a_client_that_vanishes_during_a_write_is_outlived_by_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = rig.world.gate("write", monkeypatch)
    channel = rig.new_channel()
    call = rig.open(channel)
    for message in messages(rig.world.large)[:3]:
        await call.write(message)
    await gate.reached()
    await channel.close()
    await asyncio.sleep(0.1)
    num_begun = len(rig.incoming)
    gate.open()

    await rig.eventually(lambda: rig.incoming == [])
    assert 1 == num_begun
    assert [] == rig.world.stored


async def test_an_upload_that_is_cancelled_or_late_leaves_nothing_behind(rig: Rig) -> None:
    cancelled, late = await rig.open_halfway(), await rig.open_halfway(timeout=0.5)
    cancelled.cancel()

    assert "DEADLINE_EXCEEDED" == (await refusal(late)).code.name
    await rig.eventually(lambda: rig.incoming == [])
    assert [] == rig.world.stored


async def test_a_silent_client_is_told_so(rig: Rig) -> None:
    """Before the first message, and after it."""
    rig.servicer.uploads = Uploads(rig.world.catalog, stall_seconds=0.05)
    late = rig.open()
    await late.write(metadata(GOOD))

    for call in (rig.open(), late):
        error = await refusal(call)
        assert ("ABORTED", "UPLOAD_STALLED") == (error.code.name, error.reason)
    assert [] == rig.world.stored


async def test_one_client_too_many_is_told_when_to_come_again(rig: Rig) -> None:
    calls = [await rig.open_halfway() for _ in range(3)]
    await rig.eventually(lambda: len(rig.incoming) == 3)

    error = await refusal(rig.upload(rig.world.content))

    assert ("RESOURCE_EXHAUSTED", "UPLOADS_FULL", "3") == (error.code.name, error.reason, error.metadata["limit"])
    assert error.retry_after_seconds is not None
    for call in calls:
        call.cancel()
    await rig.eventually(lambda: rig.incoming == [])


async def test_the_end_of_the_server_is_told_to_those_who_send(rig: Rig) -> None:
    call, unbegun = await rig.open_halfway(), rig.open()
    await rig.world.uploads.close()

    for ended in (call, unbegun, rig.upload(rig.world.content)):
        error = await refusal(ended)
        assert ("UNAVAILABLE", "SHUTTING_DOWN") == (error.code.name, error.reason)
    assert [] == rig.world.stored
    rig.world.uploads = Uploads(rig.world.catalog)


async def test_a_bug_is_no_text_for_clients(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("secret of /home/tenant")

    with monkeypatch.context() as patch:
        patch.setattr("adaptermux_server.adapters.uploads.read_checkpoint", fail)
        error = await refusal(rig.upload(rig.world.content))

    assert ("INTERNAL", "INTERNAL") == (error.code.name, error.reason)
    assert "secret" not in f"{error.message} {error.metadata}"
    assert [] == rig.world.stored
