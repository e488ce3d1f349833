"""What uploads bring into the store, and what they don't (rows 17 and 22)."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import torch

from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.store.incoming import StoredContent
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.errors import (
    AdapterMuxError,
    CheckpointMismatchError,
    ConfigUnsupportedError,
    DigestMismatchError,
    InvalidRequestError,
    ShuttingDownError,
    SourceInvalidError,
    StoreFullError,
    UploadsFullError,
    UploadStalledError,
)
from tests.adapters.builders import LORA_CONFIG, lora_tensors
from tests.adapters.store.builders import Content, announced
from tests.adapters.uploading import WRITE_BYTES, Sender, World, adapter_content, joined, no_descriptor_left, uploading


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with uploading(tmp_path) as world:
        with no_descriptor_left():
            yield world


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("announces", [True, False])
async def test_what_comes_is_in_the_store_byte_by_byte(world: World, size: int, announces: bool) -> None:
    sent, digest = joined(world.other), digest_of(world.other)
    sender = Sender([sent[begin : begin + size] for begin in range(0, len(sent), size)], ends=True)

    stored = await world.begin(world.other, sender, digest if announces else None)

    assert StoredContent(digest, len(sent), already_stored=False) == stored
    assert [digest] == world.stored
    folder = world.catalog.folder(digest)
    assert world.other == {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_what_is_there_already_is_answered_before_a_chunk_is_read(world: World) -> None:
    await world.begin(world.content)
    sender = Sender()

    stored = await world.begin(world.content, sender, digest_of(world.content))

    assert StoredContent(digest_of(world.content), len(joined(world.content)), already_stored=True) == stored
    assert 0 == sender.num_asked


async def test_the_length_of_what_is_there_already_is_no_hearsay(world: World) -> None:
    await world.begin(world.content)
    lies = [(name, num_bytes + 1) for name, num_bytes in announced(world.content)]

    stored = await world.uploads.receive(lies, digest_of(world.content), Sender())

    assert len(joined(world.content)) == stored.num_bytes


async def test_what_is_there_already_may_come_again_where_no_digest_was_announced(world: World) -> None:
    await world.begin(world.content)

    stored = await world.begin(world.content)

    assert stored.already_stored
    assert [digest_of(world.content)] == world.stored


async def test_small_chunks_are_gathered(world: World) -> None:
    """A thread for each byte would cost a thousand times the writing."""
    sent = joined(world.content)

    await world.begin(world.content, Sender([bytes([byte]) for byte in sent], ends=True))

    assert 1 == world.catalog.calls.count("write")


async def test_no_more_than_one_write_is_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is slow, nothing more is read."""
    gate = world.gate("write", monkeypatch)
    sent, size = joined(world.large), WRITE_BYTES // 2
    sender = Sender([sent[begin : begin + size] for begin in range(0, len(sent), size)], ends=True)
    upload = world.begin(world.large, sender)
    await gate.reached()
    num_asked = sender.num_asked
    gate.open()
    await upload

    assert 2 == num_asked
    assert -(-len(sent) // WRITE_BYTES) == world.catalog.calls.count("write")


def nan_tensors() -> dict[str, torch.Tensor]:
    tensors = lora_tensors()
    next(iter(tensors.values()))[0, 0] = torch.nan
    return tensors


GARBAGE: dict[str, tuple[Callable[[Path], Content], type[AdapterMuxError]]] = {
    "config": (
        lambda root: adapter_content(root / "x", config={**LORA_CONFIG, "layer_replication": [[0, 4]]}),
        ConfigUnsupportedError,
    ),
    "nan": (lambda root: adapter_content(root / "x", tensors=nan_tensors()), CheckpointMismatchError),
    "noise": (
        lambda root: {**adapter_content(root / "x"), "adapter_model.safetensors": b"\x80\x02noise"},
        SourceInvalidError,
    ),
    "empty": (lambda root: {**adapter_content(root / "x"), "adapter_model.safetensors": b""}, SourceInvalidError),
    "no-json": (lambda root: {**adapter_content(root / "x"), "adapter_config.json": b"{"}, SourceInvalidError),
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_row_17_what_is_no_adapter_is_refused_and_does_not_stay(world: World, tmp_path: Path, name: str) -> None:
    build, error = GARBAGE[name]
    content = build(tmp_path)

    with pytest.raises(error):
        await world.begin(content, digest=digest_of(content))

    assert [] == world.stored


async def test_what_was_there_before_stays(world: World, tmp_path: Path) -> None:
    """Whether it is of any use is for those to say who put it there."""
    await world.catalog.add_folder(tmp_path / "bad", digest_of(world.bad))

    stored = await world.begin(world.bad)

    assert stored.already_stored
    assert [digest_of(world.bad)] == world.stored


async def test_row_22_another_content_than_announced_is_refused(world: World) -> None:
    with pytest.raises(DigestMismatchError):
        await world.begin(world.content, digest=digest_of(world.other))

    assert [] == world.stored


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda sent: sent[:-1], "lacks its last 1 bytes"),
        (lambda sent: b"", "lacks its last"),
        (lambda sent: sent + b"x", "1 bytes came beyond"),
        (lambda sent: sent * 3, "bytes came beyond"),
    ],
)
async def test_more_or_less_than_announced_is_refused(
    world: World, change: Callable[[bytes], bytes], says: str
) -> None:
    chunks = [chunk for chunk in [change(joined(world.content))] if chunk]

    with pytest.raises(SourceInvalidError, match=says):
        await world.begin(world.content, Sender(chunks, ends=True))

    assert [] == world.stored


@pytest.mark.parametrize("names", [[], ["../../etc/passwd"], ["adapter_model.safetensors", "adapter_config.json"]])
async def test_files_that_no_adapter_has_are_refused_before_a_chunk_is_read(world: World, names: list[str]) -> None:
    sender = Sender()

    with pytest.raises(SourceInvalidError):
        await world.uploads.receive([(name, 1) for name in names], digest_of(world.content), sender)

    assert 0 == sender.num_asked
    assert [] == world.catalog.calls


async def test_a_full_disk_is_told_and_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("adaptermux_server.adapters.store.incoming.write_all", full)
        with pytest.raises(StoreFullError):
            await world.begin(world.content)

    assert [] == world.stored


@pytest.mark.parametrize("error", [InvalidRequestError(("chunk", "is empty")), RuntimeError("a bug")])
async def test_a_failing_sender_leaves_nothing_behind(world: World, error: Exception) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        raise error

    with pytest.raises(type(error)):
        await world.uploads.receive(announced(world.content), None, chunks())

    assert [] == world.stored


@pytest.mark.parametrize("chunks", [[], [b"{"]])
async def test_a_silent_sender_is_not_waited_for_forever(world: World, chunks: list[bytes]) -> None:
    uploads = Uploads(world.catalog, stall_seconds=0.05)

    with pytest.raises(UploadStalledError):
        await uploads.receive(announced(world.content), None, Sender(chunks))
    with pytest.raises(UploadStalledError):
        await uploads.first(Sender())

    assert [] == world.stored


async def test_a_dripping_sender_is_not_waited_for_forever(world: World) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x"

    uploads = Uploads(world.catalog, stall_seconds=0.3)

    with pytest.raises(UploadStalledError):
        await uploads.receive(announced(world.large), None, drip())

    assert [] == world.stored


async def test_a_sender_with_many_short_pauses_is_waited_for(world: World) -> None:
    """They are longer, all together, than the longest single one."""

    async def pausing() -> AsyncIterator[bytes]:
        sent, size = joined(world.large), 300_000
        for begin in range(0, len(sent), size):
            await asyncio.sleep(0.06)
            yield sent[begin : begin + size]

    uploads = Uploads(world.catalog, stall_seconds=0.5)

    stored = await uploads.receive(announced(world.large), None, pausing())

    assert digest_of(world.large) == stored.digest


async def test_one_upload_more_than_the_limit_is_refused_until_another_ends(world: World) -> None:
    await world.begin(world.content)
    senders = [Sender() for _ in range(3)]
    uploads = [world.begin(world.other, sender) for sender in senders]
    for sender in senders:
        await sender.waits()

    with pytest.raises(UploadsFullError) as caught:
        await world.begin(world.other)
    assert ("3", True) == (caught.value.metadata["limit"], caught.value.retry_seconds is not None)
    # What is there already needs no place.
    assert (await world.begin(world.content, Sender(), digest_of(world.content))).already_stored

    for sender in senders:
        sender.send(joined(world.other), None)
    assert 1 == sum(not stored.already_stored for stored in await asyncio.gather(*uploads))


async def test_eight_may_send_at_once_unless_it_is_said_otherwise(world: World) -> None:
    uploads = Uploads(world.catalog)
    senders = [Sender() for _ in range(8)]
    tasks = [asyncio.create_task(uploads.receive(announced(world.content), None, sender)) for sender in senders]
    for sender in senders:
        await sender.waits()

    with pytest.raises(UploadsFullError):
        await uploads.receive(announced(world.content), None, Sender())

    await uploads.close()
    assert [True] * 8 == [isinstance(task.exception(), ShuttingDownError) for task in tasks]
