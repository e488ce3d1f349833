"""Uploads: checked as they come, on the disk before they count, or gone without a trace (rows 12, 17 and 22)."""

import os
import threading
from pathlib import Path

import pytest

from adaptermux_server.adapters.limits import CheckpointLimits
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.errors import DigestMismatchError, InvalidRequestError, SourceInvalidError
from tests.adapters.store.builders import announced, assert_nothing_came, chunks, content, digest, upload

CONFIG, WEIGHTS, MODEL_CONFIG = "adapter_config.json", "adapter_model.safetensors", "config.json"


@pytest.mark.parametrize(
    "files",
    [
        [],
        [(CONFIG, 2)],
        [(WEIGHTS, 2)],
        [(WEIGHTS, 2), (CONFIG, 2)],
        [(CONFIG, 2), (CONFIG, 2), (WEIGHTS, 2)],
        [(CONFIG, 2), (WEIGHTS, 2), ("README.md", 2)],
        [(CONFIG, 2), (WEIGHTS, 2), ("../config.json", 2)],
        [(CONFIG, 2), (WEIGHTS, -1)],
        [(CONFIG, 2), (WEIGHTS, 101)],
        [(CONFIG, 11), (WEIGHTS, 2)],
        [(CONFIG, 2), (WEIGHTS, 2), (MODEL_CONFIG, 11)],
    ],
    ids=str,
)
def test_row_17_files_that_no_content_has_are_refused_before_a_byte_is_taken(
    tmp_path: Path, files: list[tuple[str, int]]
) -> None:
    root = tmp_path / "store"
    with Store(root, CheckpointLimits(weights_bytes=100, config_bytes=10)) as store:
        with pytest.raises(SourceInvalidError):
            store.content.begin(files)

        assert_nothing_came(store, root)


def test_a_malformed_digest_is_refused_before_a_byte_is_taken(store: Store, root: Path) -> None:
    with pytest.raises(InvalidRequestError):
        store.content.begin(announced(content(0)), "../../etc")

    assert_nothing_came(store, root)


def test_row_22_another_digest_than_announced_leaves_nothing_behind(store: Store, root: Path) -> None:
    with pytest.raises(DigestMismatchError) as caught:
        upload(store.content, content(0), digest(1))

    assert {"expected": digest(1), "found": digest(0)} == caught.value.metadata
    assert_nothing_came(store, root)


@pytest.mark.parametrize("extra", [b"x", b"x" * 100])
def test_bytes_beyond_the_announced_ones_leave_nothing_behind(store: Store, root: Path, extra: bytes) -> None:
    files = content(0)
    incoming = store.content.begin(announced(files))

    with pytest.raises(SourceInvalidError, match=f"{len(extra)} bytes came beyond"):
        incoming.write(b"".join(chunks(files)) + extra)

    assert_nothing_came(store, root)


@pytest.mark.parametrize("num_bytes", [0, 1, 2, 5, -1])
def test_missing_bytes_leave_nothing_behind(store: Store, root: Path, num_bytes: int) -> None:
    files = content(0)
    incoming = store.content.begin(announced(files))
    incoming.write(b"".join(chunks(files))[:num_bytes])

    with pytest.raises(SourceInvalidError, match="lacks its last"):
        incoming.commit()

    assert_nothing_came(store, root)


def test_row_12_an_upload_that_is_given_up_leaves_nothing_behind(store: Store, root: Path) -> None:
    """Not even a descriptor; giving it up again does nothing, going on with it is a bug."""
    num_descriptors = len(os.listdir("/proc/self/fd"))
    with store.content.begin(announced(content(0))) as incoming:
        incoming.write(b"{")
    incoming.abort()

    assert num_descriptors == len(os.listdir("/proc/self/fd"))
    assert_nothing_came(store, root)
    with pytest.raises(ValueError, match="bug"):
        incoming.write(b"}")


def test_giving_up_waits_for_the_write_under_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else that would write into whatever file got the descriptor next."""
    incoming = store.content.begin(announced(content(0)))
    aborter = threading.Thread(target=incoming.abort)
    write = os.write

    def write_meanwhile(descriptor: int, part: memoryview) -> int:
        if not aborter.ident:
            aborter.start()
            aborter.join(timeout=0.1)
            assert aborter.is_alive()
        return write(descriptor, part)

    monkeypatch.setattr(os, "write", write_meanwhile)
    incoming.write(b"{}")
    aborter.join(timeout=30)

    assert not aborter.is_alive()
    with pytest.raises(ValueError, match="bug"):
        incoming.commit()


def test_aborting_after_the_commit_keeps_the_content(store: Store) -> None:
    with store.content.begin(announced(content(0))) as incoming:
        incoming.write(b"".join(chunks(content(0))))
        incoming.commit()
    incoming.abort()

    assert store.content.verify(digest(0))


def test_the_files_are_on_the_disk_before_the_content_has_its_name(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this order: each file, its folder, the rename, the folder it was moved to. (A kill can't show it.)"""
    steps = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        path = Path(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        steps.append(("sync", path.name if path.is_file() or path.parent != root / "incoming" else "<random>"))
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        steps.append(("rename", Path(target).name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    # What the folder's making and a vain look for something in its place do is left out.
    upload(store.content, content(0))
    expected = [
        ("sync", CONFIG),
        ("sync", WEIGHTS),
        ("sync", "<random>"),
        ("sync", "content"),
        ("rename", digest(0)),
        ("sync", digest(0)[:2]),
        ("sync", "incoming"),
    ]

    assert expected == [step for step in steps if len(step[1]) != 32]
