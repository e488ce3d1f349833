"""Disks that fail at any step of a change: the change is refused in words that can be acted on, and undone (row 22)."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredRevision
from adaptermux_server.errors import StoreFullError, StoreUnavailableError
from tests.adapters.store.builders import (
    announced,
    content,
    digest,
    leftovers,
    open_store,
    picture,
    places,
    upload,
    write_folder,
)

_CALLS = ("mkdir", "open", "write", "fsync", "rename")


@contextmanager
def failing(number: int, code: int) -> Iterator[list[str]]:
    """Let the system call of this number fail, of those that change or sync files; yields the calls made."""
    calls: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise OSError(code, os.strerror(code))
            return call(*args, **options)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        for name in _CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        yield calls


def add(store: Store) -> None:
    upload(store.content, content(1))


def remove(store: Store) -> None:
    store.content.remove(digest(0))


def failure_of(change: Callable[[Store], None], store: Store) -> Exception | None:
    try:
        change(store)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EROFS, StoreUnavailableError),
        (errno.EACCES, StoreUnavailableError),
        (errno.EIO, OSError),
    ],
)
@pytest.mark.parametrize(("change", "least_calls"), [(add, 20), (remove, 3)])
def test_a_change_that_fails_at_any_call_is_undone(
    root: Path, change: Callable[[Store], None], least_calls: int, code: int, expected: type[Exception]
) -> None:
    """And works once the disk does, or only fails to delete what it has moved away."""
    with open_store(root) as store:
        upload(store.content, content(0))
        before = picture(store, root)
        for number in itertools.count(1):
            with failing(number, code):
                error = failure_of(change, store)
            if error is None:
                break

            assert isinstance(error, expected)
            assert before == picture(store, root)
            assert before.contents == places(root)

    with open_store(root) as store:
        assert before != picture(store, root)
        assert places(root) == store.content.list()
    assert least_calls < number


def test_writes_that_take_only_part_of_the_bytes_are_gone_on_with(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, part: write(descriptor, part[:1]))

    upload(store.content, content(0), digest(0))

    assert store.content.verify(digest(0))


def test_an_upload_that_meets_a_full_disk_frees_its_room_at_once(store: Store, root: Path) -> None:
    with store.content.begin(announced(content(0))) as incoming:
        incoming.write(b"{}")

        with failing(1, errno.ENOSPC), pytest.raises(StoreFullError):
            incoming.write(b"wei")

        assert [] == leftovers(root)


def test_a_content_that_the_database_can_not_note_is_taken_back(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(revision: StoredRevision) -> None:
        raise StoreFullError

    before = picture(store, root)
    monkeypatch.setattr(store.database, "add_revision", full)

    with pytest.raises(StoreFullError):
        upload(store.content, content(0))

    assert (before, []) == (picture(store, root), places(root))


def test_a_content_whose_files_can_not_be_moved_away_is_not_removed(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(store.content, content(0))
    before = picture(store, root)

    with failing(1, errno.EACCES), pytest.raises(StoreUnavailableError):
        store.content.remove(digest(0))

    assert before == picture(store, root)
    assert [digest(0)] == [revision.digest for revision in store.database.revisions()]


def test_an_opening_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    # The first call only makes sure of the folder above, which is there.
    for number in itertools.count(2):
        root = tmp_path / str(number)
        with failing(number, errno.ENOSPC) as calls, suppress(StoreFullError):
            open_store(root).close()
        if len(calls) < number:
            break

        with open_store(root) as store:
            upload(store.content, content(0))
            assert [digest(0)] == store.content.list()
    assert number > 10


def test_a_leftover_that_can_not_be_deleted_is_no_reason_not_to_open(root: Path, tmp_path: Path) -> None:
    """It is tried again at each opening."""
    open_store(root).close()
    write_folder(root / "incoming" / "half", content(0))

    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, "no")

        patch.setattr(os, "unlink", refuse)
        with open_store(root):
            assert ["half"] == leftovers(root)

    with open_store(root):
        assert [] == leftovers(root)
