"""Rows 21 and 22: aliases that stand in the way, contents that aren't what they should be, and a store that fails."""

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.canonical import CONTENT_FILES
from adaptermux_server.adapters.store import files
from tests.contract.changes import PRECONDITION
from tests.contract.world import Case, World, assert_refused, refusal, world_inside

INVALID = grpc.StatusCode.INVALID_ARGUMENT
_ID, _ALIAS = "candidate", "prod"
_NOWHERE = "0" * 64


def _set_alias(world: World, name: str, *targets: str) -> Awaitable[Any]:
    found = [adapter_admin_pb2.AliasTarget(adapter=target) for target in targets]
    call: Awaitable[Any] = world.admin.SetAlias(
        adapter_admin_pb2.SetAliasRequest(alias=adapter_admin_pb2.Alias(name=name, targets=found))
    )
    return call


async def _delete_alias(world: World, name: str = _ALIAS) -> None:
    await world.admin.DeleteAlias(adapter_admin_pb2.DeleteAliasRequest(name=name))


def _delete(world: World, adapter_id: str) -> Awaitable[Any]:
    call: Awaitable[Any] = world.admin.DeleteAdapter(adapter_admin_pb2.DeleteAdapterRequest(adapter_id=adapter_id))
    return call


def _update(world: World, adapter_id: str) -> Awaitable[Any]:
    adapter = adapter_admin_pb2.Adapter(id=adapter_id, weight=7.0)
    call: Awaitable[Any] = world.admin.UpdateAdapter(adapter_admin_pb2.UpdateAdapterRequest(adapter=adapter))
    return call


def _upload(world: World, folder: Path, revision: str = "") -> Awaitable[Any]:
    contents = {name: (folder / name).read_bytes() for name in CONTENT_FILES if (folder / name).exists()}
    announced = [adapter_admin_pb2.UploadFile(name=name, size_bytes=len(part)) for name, part in contents.items()]
    metadata = adapter_admin_pb2.UploadMetadata(files=announced, revision=revision)
    requests = [
        adapter_admin_pb2.UploadAdapterRequest(metadata=metadata),
        *(adapter_admin_pb2.UploadAdapterRequest(chunk=part) for part in contents.values()),
    ]
    call: Awaitable[Any] = world.admin.UploadAdapter(iter(requests))
    return call


async def _aliased_one_deleted(world: World) -> None:
    await _set_alias(world, _ALIAS, "sentiment", "pos")
    error = await refusal(_delete(world, "sentiment"))
    assert_refused(error, PRECONDITION, "ALIASED", says=["sentiment", _ALIAS])
    assert _ALIAS == error.metadata["aliases"]
    world.expected["sentiment"].assert_answered(0, (await world.classify()).results[0])
    await _delete_alias(world)


async def _loaded_by_the_name_of_an_alias(world: World) -> None:
    await _set_alias(world, _ALIAS, "sentiment")
    error = await refusal(world.load(_ALIAS, world.root / "spare"))
    assert_refused(error, INVALID, "INVALID_REQUEST", fields=["adapter_id"])
    await _delete_alias(world)


async def _alias_that_cannot_be(world: World) -> None:
    for name, target, field in (
        ("sentiment", "pos", "alias.name"),
        (_ALIAS, _ALIAS, "alias.targets[0].adapter"),
        ("../x", "pos", "alias.name"),
        (_ALIAS, "pos@xyz", "alias.targets[0].adapter"),
    ):
        assert_refused(await refusal(_set_alias(world, name, target)), INVALID, "INVALID_REQUEST", fields=[field])
    error = await refusal(_set_alias(world, _ALIAS, "nothing"))
    assert_refused(error, grpc.StatusCode.NOT_FOUND, "ADAPTER_NOT_FOUND", says=["nothing"])
    error = await refusal(_delete_alias(world))
    assert_refused(error, grpc.StatusCode.NOT_FOUND, "ALIAS_NOT_FOUND", says=[_ALIAS])


async def _upload_of_another_content(world: World) -> None:
    error = await refusal(_upload(world, world.root / "spare", _NOWHERE))
    assert_refused(error, grpc.StatusCode.DATA_LOSS, "DIGEST_MISMATCH", says=[_NOWHERE])


async def _loaded_by_a_revision_that_is_not_there(world: World) -> None:
    request = adapter_admin_pb2.LoadAdapterRequest(adapter_id=_ID, revision=_NOWHERE)
    error = await refusal(world.admin.LoadAdapter(request))
    assert_refused(error, grpc.StatusCode.NOT_FOUND, "REVISION_NOT_FOUND", says=[_NOWHERE])
    await world.unload(_ID)


async def _store_that_fails(world: World) -> None:
    spare = world.root / "spare"
    await _set_alias(world, _ALIAS, "sentiment")
    for number, code, reason in (
        (errno.ENOSPC, grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL"),
        (errno.EROFS, PRECONDITION, "STORE_UNAVAILABLE"),
    ):
        with _failing_disk(number):
            for call in (world.load(_ID, spare), world.load("sentiment", spare), _upload(world, spare)):
                assert_refused(await refusal(call), code, reason)
        await world.unload(_ID)
    with _read_only_database(world):
        for call in (_set_alias(world, _ALIAS, "pos"), _delete_alias(world), _update(world, "sentiment")):
            assert_refused(await refusal(call), PRECONDITION, "STORE_UNAVAILABLE", says=["operator"])
    response = await world.classify(_ALIAS)
    world.expected["sentiment"].assert_answered(0, response.results[0])
    assert "sentiment" == response.adapter.id
    # A failed load is told beside what serves, until the next one.
    await world.load("sentiment", world.root / "sentiment")
    await _delete_alias(world)


@contextmanager
def _failing_disk(number: int) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "fsync", refuse)  # type: ignore[attr-defined]
        yield


@contextmanager
def _read_only_database(world: World) -> Iterator[None]:
    connection: sqlite3.Connection = world.harness.plane.catalog._store.database._connection
    connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA query_only = OFF")


async def _source_changed_after_the_load(world: World) -> None:
    """What was loaded is what was read; the next load reads anew."""
    folder = world.copy_of("spare", "22-changing")
    first = (await world.load(_ID, folder)).adapter.revision
    for name in CONTENT_FILES:
        if (folder / name).exists():
            (folder / name).write_bytes((world.root / "sentiment" / name).read_bytes())
    world.expected["spare"].assert_answered(0, (await world.classify(_ID)).results[0])
    second = (await world.load(_ID, folder)).adapter.revision
    world.expected["sentiment"].assert_answered(0, (await world.classify(_ID)).results[0])
    assert first != second
    await world.unload(_ID)


async def _disk_full(world: World) -> None:
    """A store on a disk of its own, of which no byte is left: what is there serves, and more is refused."""
    with tempfile.TemporaryDirectory() as scratch, _small_disk(Path(scratch)):
        async with world_inside(world.ground, store=scratch) as small:
            with contextlib.suppress(OSError), (Path(scratch) / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(1 << 12))
            for call in (small.load(_ID, world.root / "spare"), _upload(small, world.root / "spare")):
                assert_refused(await refusal(call), grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
            await small.assert_answers()


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk isn't allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


_SCENARIOS: dict[int, dict[str, Callable[[World], Awaitable[None]]]] = {
    21: {
        "aliased-one-deleted": _aliased_one_deleted,
        "loaded-by-the-name-of-an-alias": _loaded_by_the_name_of_an_alias,
        "alias-that-cannot-be": _alias_that_cannot_be,
    },
    22: {
        "upload-of-another-content": _upload_of_another_content,
        "revision-that-is-not-there": _loaded_by_a_revision_that_is_not_there,
        "source-changed-after-the-load": _source_changed_after_the_load,
        "disk-full": _disk_full,
        "store-that-fails": _store_that_fails,
    },
}
CASES = [
    Case(row, name, scenario, inside=scenario is _store_that_fails)
    for row, found in _SCENARIOS.items()
    for name, scenario in found.items()
]
