"""Uploads, blocking and asyncio: what is sent, early answers, failures on either side."""

import asyncio
import os
import threading
from collections import Counter
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client import AsyncAdminClient, UploadedRevision, errors
from adaptermux_client.contents import local_content
from adaptermux_client.first_status import FirstStatus
from adaptermux_server.adapters.canonical import CONTENT_FILES, digest_of
from tests.client.conftest import Ask
from tests.client.fake_answers import failure
from tests.client.fake_server import FakeServer
from tests.client.folders import MIB, adapter_folder, contents

UPLOADS_FULL = failure(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "two are under way", "UPLOADS_FULL", {"limit": "2"}, retry_seconds=0.5
)


@pytest.mark.parametrize("weights", [b"", b"w", os.urandom(MIB), os.urandom(2 * MIB + 7)], ids=len)
@pytest.mark.parametrize("config", [None, b"", b'{"id2label": {}}'])
def test_the_revision_is_the_servers(tmp_path: Path, weights: bytes, config: bytes | None) -> None:
    """Two implementations of one form: what the client announces is what the server finds."""
    folder = adapter_folder(tmp_path, weights, config=config)

    assert digest_of(contents(folder)) == local_content(folder).revision()


def test_the_files_of_a_content_are_the_servers() -> None:
    """A file that one side knows and the other doesn't would change the revision."""
    from adaptermux_client import contents as ours

    assert CONTENT_FILES == ours.CONTENT_FILES


async def test_an_upload_announces_its_files_and_sends_them_in_chunks(
    ask_admin: Ask, server: FakeServer, tmp_path: Path
) -> None:
    """Sorted by name, with lengths and the revision; nothing else of the folder is sent."""
    folder = adapter_folder(tmp_path, os.urandom(2 * MIB + 5), config=b"{ }")

    uploaded = await ask_admin("upload_adapter", folder)

    assert UploadedRevision(digest_of(contents(folder)), 2 * MIB + 10, False) == uploaded
    assert server.script.requests == [
        pb.UploadAdapterRequest(
            metadata=pb.UploadMetadata(
                revision=uploaded.revision,
                files=[
                    pb.UploadFile(name="adapter_config.json", size_bytes=2),
                    pb.UploadFile(name="adapter_model.safetensors", size_bytes=2 * MIB + 5),
                    pb.UploadFile(name="config.json", size_bytes=3),
                ],
            )
        )
    ]
    assert server.admin.chunks == [2, MIB, MIB, 5, 3]


async def test_what_the_server_has_is_not_taken_again(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """The server answers after the metadata, while the client still sends."""
    folder = adapter_folder(tmp_path, os.urandom(8 * MIB))
    server.admin.contents[local_content(folder).revision()] = 123

    uploaded = await ask_admin("upload_adapter", folder)

    assert (123, True) == (uploaded.size_bytes, uploaded.already_stored)
    assert server.admin.chunks == []


async def test_a_revision_that_the_caller_knows_is_sent_as_it_is(
    ask_admin: Ask, server: FakeServer, tmp_path: Path
) -> None:
    """The files aren't read for it; a wrong one is found by the server."""
    with pytest.raises(errors.DigestMismatchError) as caught:
        await ask_admin("upload_adapter", adapter_folder(tmp_path), revision="0" * 64)

    assert caught.value.metadata["expected"] == "0" * 64


async def test_a_refusal_amid_the_chunks_keeps_its_reason(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """With all its details."""
    server.admin.refuse_upload_after = (2, UPLOADS_FULL)

    with pytest.raises(errors.UploadsFullError) as caught:
        await ask_admin("upload_adapter", adapter_folder(tmp_path, bytes(16 * MIB)), revision="0" * 64)

    assert ({"limit": "2"}, 0.5) == (caught.value.metadata, caught.value.retry_after_seconds)


async def test_the_status_that_came_first_is_told(server: FakeServer) -> None:
    """grpc.aio loses that of every fifth call or so that ends while a message is under way; so this tries often."""
    metadata = pb.UploadAdapterRequest(metadata=pb.UploadMetadata(revision="0" * 64))
    chunk = pb.UploadAdapterRequest(chunk=bytes(MIB))
    told = Counter()

    async with AsyncAdminClient(server.address) as client:
        for _ in range(60):
            server.admin.chunks.clear()
            server.admin.refuse_upload_after = (2, UPLOADS_FULL)
            call = client.stub.UploadAdapter([metadata, *[chunk] * 30])
            status = FirstStatus(call)
            with pytest.raises(grpc.RpcError) as caught:
                await call
            told[type(status.error(caught.value))] += 1

    assert {errors.UploadsFullError: 60} == told


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (failure(grpc.StatusCode.ABORTED, "stalled", "UPLOAD_STALLED"), errors.UploadStalledError),
        (failure(grpc.StatusCode.INTERNAL, "incident 7", "INTERNAL", {"incident": "7"}), errors.InternalError),
        (failure(grpc.StatusCode.UNAVAILABLE, "stopping", "SHUTTING_DOWN"), errors.ShuttingDownError),
    ],
)
async def test_an_upload_that_is_refused_at_once_is_not_repeated(
    ask_admin: Ask, server: FakeServer, tmp_path: Path, status: Status, cls: type[errors.AdapterMuxClientError]
) -> None:
    """Whatever the status, the caller decides."""
    server.script.failures = [status]

    with pytest.raises(cls):
        await ask_admin("upload_adapter", adapter_folder(tmp_path))

    assert len(server.script.requests) == 1


async def test_nobody_at_the_address_is_unavailable(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """Although an upload has no deadline of its own."""
    server.close()

    with pytest.raises(errors.UnavailableError):
        await ask_admin("upload_adapter", adapter_folder(tmp_path))


async def test_progress_is_told_after_each_chunk(ask_admin: Ask, tmp_path: Path) -> None:
    """Bytes so far and bytes in all."""
    told: list[tuple[int, int]] = []

    await ask_admin(
        "upload_adapter", adapter_folder(tmp_path, bytes(MIB + 1)), on_progress=lambda *counts: told.append(counts)
    )

    assert told == [(2, MIB + 3), (MIB + 2, MIB + 3), (MIB + 3, MIB + 3)]


async def test_what_on_progress_raises_ends_the_upload(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """A caller can stop an upload so; nothing is kept."""

    def stop(sent: int, total: int) -> None:
        raise LookupError("enough")

    before = dict(server.admin.contents)
    with pytest.raises(LookupError, match="enough"):
        await ask_admin("upload_adapter", adapter_folder(tmp_path, bytes(4 * MIB)), on_progress=stop)

    assert before == server.admin.contents


@pytest.mark.parametrize("length", [0, 3 * MIB, 5 * MIB])
async def test_a_file_that_changes_meanwhile_is_told(
    ask_admin: Ask, server: FakeServer, tmp_path: Path, length: int
) -> None:
    """Whether it became shorter or longer; nothing is sent beyond what was announced."""
    folder = adapter_folder(tmp_path, bytes(4 * MIB))

    def change(sent: int, total: int) -> None:
        os.truncate(folder / "adapter_model.safetensors", length)

    with pytest.raises(OSError, match="changed while it was read"):
        await ask_admin("upload_adapter", folder, on_progress=change)

    assert sum(server.admin.chunks) <= 4 * MIB + 2


async def test_a_folder_without_weights_is_told_before_anything_is_sent(
    ask_admin: Ask, server: FakeServer, tmp_path: Path
) -> None:
    """Whoever has a pickle hears what to do."""
    folder = adapter_folder(tmp_path)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")

    with pytest.raises(FileNotFoundError, match="safe_serialization=True"):
        await ask_admin("upload_adapter", folder)

    assert server.script.requests == []


def test_a_file_that_is_none_is_not_read(tmp_path: Path) -> None:
    """Reading a pipe would wait for whoever writes it."""
    folder = adapter_folder(tmp_path)
    os.mkfifo(folder / "config.json")

    with pytest.raises(OSError, match=r"config.json is no plain file"):
        local_content(folder)


async def test_push_uploads_and_loads(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """The load is of the revision that the upload gave, with all options."""
    folder = adapter_folder(tmp_path)

    adapter = await ask_admin(
        "push_adapter", "new", folder, labels=["no", "yes"], weight=2, pinned=True, metadata={"team": "search"}
    )

    assert (digest_of(contents(folder)), "") == (adapter.revision, adapter.uri)
    assert server.script.requests[1:] == [
        pb.LoadAdapterRequest(
            adapter_id="new",
            revision=adapter.revision,
            labels=["no", "yes"],
            weight=2,
            pinned=True,
            metadata={"team": "search"},
        )
    ]


async def test_a_push_whose_upload_fails_loads_nothing(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """What serves under the id goes on."""
    server.script.failures = [UPLOADS_FULL]

    with pytest.raises(errors.UploadsFullError):
        await ask_admin("push_adapter", "sentiment", adapter_folder(tmp_path))

    assert len(server.script.requests) == 1


async def test_cancelling_the_task_cancels_the_upload(server: FakeServer, tmp_path: Path) -> None:
    """The server hears of it."""
    server.script.hold = threading.Event()
    async with AsyncAdminClient(server.address) as client:
        task = asyncio.create_task(client.upload_adapter(adapter_folder(tmp_path)))
        assert await asyncio.to_thread(server.script.arrived.wait, 10)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.script.gone.wait, 10)


async def test_an_upload_takes_as_long_as_it_takes(ask_admin: Ask, server: FakeServer, tmp_path: Path) -> None:
    """The client's own timeout isn't for gigabytes; the caller's is sent."""
    await ask_admin("upload_adapter", adapter_folder(tmp_path))
    await ask_admin("upload_adapter", adapter_folder(tmp_path), timeout=50)

    unbounded, bounded = server.script.time_remaining
    assert unbounded is None or unbounded > 1e9
    assert 40 < (bounded or 0) <= 51
