"""Uploads that are ended, and such as meet: the store holds a whole and checked content or nothing (row 12)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.errors import (
    ConfigUnsupportedError,
    ShuttingDownError,
    SourceInvalidError,
)
from tests.adapters.uploading import WRITE_BYTES, Sender, World, no_descriptor_left, sender_of, uploading


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with uploading(tmp_path) as world:
        with no_descriptor_left():
            yield world


_BEFORE_COMMIT = ("begin", "write", "abort")
_STEPS = (*_BEFORE_COMMIT, "commit", "check")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("step", _STEPS)
async def test_a_cancelled_upload_ends_after_the_step_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, times: int
) -> None:
    """Nothing is left over; a content that was whole before it was cancelled stays, if it is a good one."""
    gate = world.gate(step, monkeypatch)
    content = world.large if step in _BEFORE_COMMIT else world.content
    upload = world.begin(content, Sender([b"x"], ends=True) if step == "abort" else None)
    await gate.reached()
    for _ in range(times):
        upload.cancel()
        await asyncio.wait([upload], timeout=0.02)
    ended_early = upload.done()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert not ended_early
    assert ([] if step in _BEFORE_COMMIT else [digest_of(content)]) == world.stored


@pytest.mark.parametrize("step", ["commit", "check", "remove"])
async def test_garbage_does_not_stay_where_its_upload_is_cancelled(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    gate = world.gate(step, monkeypatch)
    upload = world.begin(world.bad)
    await gate.reached()
    upload.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert [] == world.stored


@pytest.mark.parametrize("chunks", [[], [b"{"], [b"x" * WRITE_BYTES]], ids=["none", "a-byte", "a-write"])
async def test_row_12_an_upload_that_is_cancelled_while_it_waits_ends_at_once(
    world: World, chunks: list[bytes]
) -> None:
    sender = Sender(chunks)
    upload = world.begin(world.large, sender)
    await sender.waits()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert [] == world.stored


async def test_an_upload_that_is_cancelled_while_another_is_checked_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = world.gate("check", monkeypatch)
    first = world.begin(world.content)
    await gate.reached()
    second = world.begin(world.other)
    await asyncio.wait([second], timeout=0.1)
    second.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await second
    await first

    assert [digest_of(world.content)] == world.stored


async def test_an_answer_from_the_store_may_be_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.begin(world.content)
    gate = world.gate("renew", monkeypatch)
    upload = world.begin(world.content, Sender(), digest_of(world.content))
    await gate.reached()
    upload.cancel()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await upload

    assert [digest_of(world.content)] == world.stored


async def test_two_uploads_of_one_content_are_one_content(world: World) -> None:
    results = await asyncio.gather(world.begin(world.content), world.begin(world.content))

    assert [False, True] == sorted(stored.already_stored for stored in results)
    assert [digest_of(world.content)] == world.stored


@pytest.mark.parametrize("announces", [True, False])
async def test_garbage_under_check_is_not_taken_for_a_content_that_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch, announces: bool
) -> None:
    gate = world.gate("check", monkeypatch)
    first = world.begin(world.bad)
    await gate.reached()
    sender = sender_of(world.bad)
    second = world.begin(world.bad, sender, digest_of(world.bad) if announces else None)
    await asyncio.wait([second], timeout=0.02)
    gate.open()
    for upload in (first, second):
        with pytest.raises(ConfigUnsupportedError):
            await upload

    assert 3 == sender.num_asked
    assert [] == world.stored


async def test_a_content_under_check_is_not_collected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = world.gate("check", monkeypatch)
    upload = world.begin(world.content)
    await gate.reached()
    await world.catalog.collect([digest_of(world.content)])
    gate.open()
    await upload

    assert [digest_of(world.content)] == world.stored


async def test_the_end_of_the_server_ends_those_who_wait_for_their_senders(world: World) -> None:
    sender = Sender([b"{"])
    upload = world.begin(world.content, sender)
    first = asyncio.create_task(world.uploads.first(Sender()))
    await sender.waits()
    await world.uploads.close()

    assert upload.done()
    for ended in (upload, first, world.begin(world.content), world.uploads.first(Sender())):
        with pytest.raises(ShuttingDownError):
            await ended
    assert [] == world.stored
    world.uploads = Uploads(world.catalog)


@pytest.mark.parametrize("step", _STEPS)
async def test_the_end_of_the_server_waits_for_the_step_under_way(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Else the store would be closed under it. What is whole by then is finished."""
    gate = world.gate(step, monkeypatch)
    content = world.large if step in _BEFORE_COMMIT else world.content
    upload = world.begin(content, Sender([b"x"], ends=True) if step == "abort" else None)
    await gate.reached()
    closing = asyncio.create_task(world.uploads.close())
    await asyncio.wait([closing], timeout=0.02)
    closed_early = closing.done()
    gate.open()
    await closing

    assert upload.done()
    assert not closed_early
    error = upload.exception()
    assert {"abort": SourceInvalidError, "commit": type(None), "check": type(None)}.get(
        step, ShuttingDownError
    ) is type(error)
    assert ([] if step in _BEFORE_COMMIT else [digest_of(content)]) == world.stored
    world.uploads = Uploads(world.catalog)
