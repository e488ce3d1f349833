"""Row 22: a disk that is full or read-only, files that change under us: refused by name, and nothing has changed."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptermux_server.adapters.store import files
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.errors import AdapterMuxError, DigestMismatchError, StoreFullError, StoreUnavailableError
from adaptermux_server.types import AdapterState
from tests.adapters.builders import write_adapter
from tests.adapters.rig import Rig, until_settled

CHANGES: dict[str, Callable[[Rig], Any]] = {
    "load": lambda rig: rig.load("z", "c"),
    "load of what is stored": lambda rig: rig.load("z", "a"),
    "swap": lambda rig: rig.load("x", "c"),
    "update": lambda rig: rig.update("x", weight=2.0),
    "alias": lambda rig: rig.alias("prod", y=1),
    "new alias": lambda rig: rig.alias("next", y=1),
    "deletion of an alias": lambda rig: rig.control.aliases.delete("prod"),
}


async def filled(rig: Rig) -> tuple[str, str]:
    """Two adapters and an alias; returns their revisions."""
    x, y = (await rig.load("x", "a")).revision, (await rig.load("y", "b")).revision
    await rig.alias("prod", x=1)
    return x, y


async def assert_as_filled(rig: Rig, revisions: tuple[str, str]) -> None:
    """All serves as before, now and after a restart, and nothing is left half-way."""
    for _ in range(2):
        assert revisions == (await rig.answer("x"), await rig.answer("y"))
        assert revisions[0] == await rig.answer("prod")
        assert {1.0} == {record.weight for record in rig.registry.list() if record.state is AdapterState.READY}
        assert ["prod"] == [alias.name for alias in rig.registry.aliases()]
        await until_settled(rig)
        rig.assert_consistent()
        assert [] == list(rig.catalog.workspace.iterdir())
        await rig.restart()


@pytest.mark.parametrize("name", CHANGES)
async def test_what_the_database_cannot_take_is_refused(rig: Rig, name: str) -> None:
    revisions = await filled(rig)
    rig.catalog._store.database._connection.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreUnavailableError, match="readonly"):
        await CHANGES[name](rig)

    await assert_as_filled(rig, revisions)


@pytest.mark.parametrize("call", ["write", "fsync", "mkdir", "rename"])
@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, StoreFullError), (errno.EROFS, StoreUnavailableError)])
async def test_a_content_that_the_disk_does_not_take_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[AdapterMuxError]
) -> None:
    revisions = await filled(rig)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    for name in ("load", "swap"):
        monkeypatch.setattr(files.os, call, refuse)
        with pytest.raises(error):
            await CHANGES[name](rig)
        monkeypatch.undo()

    await assert_as_filled(rig, revisions)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own of 1 MiB."""
    folder = tmp_path / "store"
    folder.mkdir()
    _mount("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program to mount a disk with")
    if done.returncode:
        pytest.skip("mounting a disk isn't allowed here")


def _fill_up(disk: Path) -> None:
    """Leave not a byte."""
    with open(disk / "filler", "wb", buffering=0) as filler:
        for size in (1 << 14, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as error:
                assert errno.ENOSPC == error.errno  # noqa: PT017


async def _until_refused(rig: Rig, name: str) -> None:
    for number in range(200):
        if name == "update":
            # A small change still finds room in a page that is there.
            await rig.update("y", metadata={"n": f"{number}" * 80})
        else:
            await CHANGES[name](rig)


@pytest.mark.parametrize("name", ["load", "swap", "update"])
async def test_on_a_disk_that_is_really_full_nothing_changes_until_there_is_room(small_disk: Path, name: str) -> None:
    rig = Rig(small_disk.parent)
    revisions = await filled(rig)
    _fill_up(small_disk)

    with pytest.raises(StoreFullError):
        await _until_refused(rig, name)
    assert revisions == (await rig.answer("x"), await rig.answer("y"))
    (small_disk / "filler").unlink()
    await rig.update("y", metadata={})
    await assert_as_filled(rig, revisions)
    await CHANGES[name](rig)
    await rig.close()


async def test_a_full_disk_gets_room_by_a_delete(small_disk: Path) -> None:
    rig = Rig(small_disk.parent)
    await filled(rig)
    _fill_up(small_disk)

    with pytest.raises(StoreFullError):
        await _until_refused(rig, "update")

    await rig.control.aliases.delete("prod")
    await rig.delete("x")
    await rig.load("z", "a")
    _fill_up(small_disk)
    await rig.lifecycle.unload("z")

    assert ["y"] == [record.id for record in rig.registry.list()]
    await rig.restart()
    assert ["y"] == [record.id for record in rig.registry.list()]
    await rig.close()


async def test_a_store_on_a_read_only_disk_is_refused_at_the_opening_and_stays_as_it_is(small_disk: Path) -> None:
    rig = Rig(small_disk.parent)
    revisions = await filled(rig)
    await rig.close()
    _mount("mount", "-o", "remount,ro", str(small_disk))

    with pytest.raises(StoreUnavailableError, match="Read-only"):
        Store(small_disk)

    _mount("mount", "-o", "remount,rw", str(small_disk))
    await rig.stop_and_open()
    await rig.control.restoring.run()
    await assert_as_filled(rig, revisions)
    await rig.close()


@pytest.mark.parametrize("name", ["load", "swap"])
async def test_files_that_change_while_they_are_loaded_are_refused(rig: Rig, name: str) -> None:
    revisions = await filled(rig)
    rig.model.gates["prepare"].hold()
    loading = asyncio.create_task(CHANGES[name](rig))
    await rig.model.gates["prepare"].entered.wait()
    other = write_adapter(rig.root / "other", seed=99)
    (other / "adapter_model.safetensors").rename(rig.root / "c" / "adapter_model.safetensors")
    rig.model.gates["prepare"].open.set()

    with pytest.raises(DigestMismatchError):
        await loading

    await assert_as_filled(rig, revisions)
