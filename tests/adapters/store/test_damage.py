"""A store that was damaged opens, says what it dropped, and serves the rest."""

import functools
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adaptermux_server.adapters.store.database import Database
from adaptermux_server.adapters.store.migrations import StoreTooNewError
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredRevision
from adaptermux_server.errors import RevisionNotFoundError
from tests.adapters.builders import unhurried
from tests.adapters.store.builders import content, digest, execute, leftovers, open_store, places, upload, write_folder

WEIGHTS = "adapter_model.safetensors"
NAME = "registry.sqlite"


def filled(root: Path) -> Path:
    """A closed store of two contents, an adapter of each, and an alias."""
    with open_store(root) as store:
        for number in range(2):
            upload(store.content, content(number))
            store.database.put_adapter(StoredAdapter(f"adapter-{number}", digest(number)))
        store.database.put_alias(StoredAlias("prod", (("adapter-0", 1),)))
    return root


def shorter(place: Path) -> None:
    os.truncate(place / WEIGHTS, 3)


def without_weights(place: Path) -> None:
    (place / WEIGHTS).unlink()


def with_a_stranger(place: Path) -> None:
    (place / "modeling.py").touch()


def with_a_symlink(place: Path) -> None:
    (place / WEIGHTS).rename(place.parent / "weights")
    (place / WEIGHTS).symlink_to(place.parent / "weights")


def a_file(place: Path) -> None:
    shutil.rmtree(place)
    place.touch()


DAMAGES = {shorter: "bytes, 11 were", without_weights: "missing", with_a_stranger: "modeling.py",
           with_a_symlink: "no file of", a_file: "can't be read", shutil.rmtree: "is missing"}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_content_is_told_and_the_others_serve_until_it_is_added_again(
    root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    filled(root)
    damage(root / "content" / digest(0)[:2] / digest(0))

    with open_store(root) as store:
        assert [digest(0)] == list(store.content.corrupt)
        assert DAMAGES[damage] in store.content.corrupt[digest(0)]
        assert digest(0) in caplog.text
        assert [digest(1)] == store.content.list()
        assert not store.content.has(digest(0))
        with pytest.raises(RevisionNotFoundError):
            store.content.path(digest(0))
        assert ["adapter-0", "adapter-1"] == [adapter.id for adapter in store.database.adapters()]

        assert not upload(store.content, content(0)).already_stored

        assert {} == store.content.corrupt
        assert store.content.verify(digest(0))
        assert [] == leftovers(root)
    open_store(root).close()


def test_a_damaged_content_that_nothing_uses_can_be_removed(root: Path) -> None:
    with open_store(root) as store:
        upload(store.content, content(0))
    shorter(root / "content" / digest(0)[:2] / digest(0))

    with open_store(root) as store:
        assert store.content.remove(digest(0))

        assert {} == store.content.corrupt
    assert [] == places(root)


def test_bytes_that_changed_in_place_are_found_when_they_are_verified(root: Path) -> None:
    filled(root)
    place = root / "content" / digest(0)[:2] / digest(0)

    with open_store(root) as store:
        (place / WEIGHTS).write_bytes(b"weighty 0")
        assert not store.content.verify(digest(0))

        assert {digest(0): "its bytes have changed"} == store.content.corrupt
        assert [digest(1)] == store.content.list()
        assert store.content.verify(digest(1))


def test_a_content_that_the_database_does_not_know_counts_only_if_its_bytes_are_right(root: Path) -> None:
    write_folder(root / "content" / digest(0)[:2] / digest(0), content(0))
    write_folder(root / "content" / digest(1)[:2] / digest(1), content(2))

    with open_store(root) as store:
        assert [digest(0)] == store.content.list()
        assert [digest(0)] == [revision.digest for revision in store.database.unused_revisions()]
        assert {digest(1): "its bytes have changed"} == store.content.corrupt


def test_what_a_crash_left_in_incoming_is_gone_after_the_opening(root: Path) -> None:
    write_folder(root / "incoming" / "half", content(0))
    (root / "incoming" / "file").touch()

    with open_store(root) as store:
        assert ([], []) == (leftovers(root), store.content.list())


def rubbish(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def a_lost_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(4096))


def a_lost_table(path: Path) -> None:
    execute(path, "DROP TABLE aliases")


def a_lost_version(path: Path) -> None:
    execute(path, "PRAGMA user_version = 0")


def a_wrong_index(path: Path) -> None:
    other = "(SELECT rootpage FROM sqlite_master WHERE name = 'earlier_revisions_by_digest')"
    change = f"UPDATE sqlite_master SET rootpage = {other} WHERE name = 'adapters_by_digest'"
    execute(path, "PRAGMA writable_schema = ON", change)


def a_lost_revision(path: Path) -> None:
    execute(path, "DELETE FROM revisions")


def a_row_that_makes_no_sense(path: Path) -> None:
    execute(path, "UPDATE adapters SET labels = '[' WHERE id = 'adapter-0'")


@pytest.mark.parametrize(
    "damage",
    [
        rubbish,
        half,
        a_lost_page,
        a_lost_table,
        a_lost_version,
        a_wrong_index,
        a_lost_revision,
        a_row_that_makes_no_sense,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_database_is_moved_aside_and_the_contents_stay(
    root: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(filled(root) / NAME)
    before = (root / NAME).read_bytes()

    with open_store(root) as store:
        dropped = store.database.dropped
        assert dropped
        assert f"{NAME}.corrupt-20231114T221320.000000Z" == dropped.path.name
        assert before == dropped.path.read_bytes()
        assert dropped.path.name in caplog.text
        assert dropped.problem in caplog.text
        assert ((), ()) == (store.database.adapters(), store.database.aliases())
        assert sorted([digest(0), digest(1)]) == store.content.list()
        assert () == store.database.put_adapter(StoredAdapter("a", digest(0)))
    with open_store(root) as store:
        assert store.database.dropped is None
        assert ["a"] == [adapter.id for adapter in store.database.adapters()]


def test_the_adapters_of_a_damaged_database_are_named_where_they_can_be_read(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a_lost_table(filled(root) / NAME)

    with open_store(root) as store:
        assert store.database.dropped
        assert ("adapter-0", "adapter-1") == store.database.dropped.adapter_ids
    assert "adapter-0, adapter-1" in caplog.text


@pytest.mark.parametrize("damage", [Path.unlink, rubbish])
def test_a_log_of_what_was_dropped_is_not_taken_for_the_new_ones(root: Path, damage: Callable[[Path], None]) -> None:
    """Of a process that was killed a write-ahead log is left."""
    filled(root)
    database = Database(root / NAME)
    database.put_alias(StoredAlias("late", (("adapter-0", 1),)))
    copy = shutil.copytree(root, root.with_name("copy"))
    database.close()
    assert (copy / f"{NAME}-wal").stat().st_size
    damage(copy / NAME)

    with open_store(copy) as store:
        assert ((), ()) == (store.database.adapters(), store.database.aliases())
        assert sorted([digest(0), digest(1)]) == store.content.list()


def test_what_a_killed_process_committed_last_is_there(root: Path) -> None:
    filled(root)
    database = Database(root / NAME)
    database.put_alias(StoredAlias("late", (("adapter-0", 1),)))
    copy = shutil.copytree(root, root.with_name("copy"))
    database.close()

    with open_store(copy) as store:
        assert ["late", "prod"] == [alias.name for alias in store.database.aliases()]


@functools.cache
def template() -> bytes:
    """A database of some rows in every table."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / NAME)
        for number in range(20):
            database.add_revision(StoredRevision(digest(number), number, float(number)))
            adapter = StoredAdapter(f"a{number % 3}", digest(number), ("x", "y"), metadata={"k": "v" * number})
            database.put_adapter(adapter)
            database.put_alias(StoredAlias(f"alias-{number}", (("a0", 1), ("a1", 2)), 1.0))
        database.close()
        return (Path(folder) / NAME).read_bytes()


NUM_BYTES = len(template())
header_or_any = st.integers(0, 99) | st.integers(0, NUM_BYTES - 1)
spoiled_bytes = st.dictionaries(header_or_any, st.integers(0, 255), max_size=6)


@pytest.fixture
def _quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("_quiet")
@settings(unhurried, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoiled_bytes, st.just(NUM_BYTES) | st.integers(0, NUM_BYTES))
@example({18: 3}, NUM_BYTES)
@example({60: 255}, NUM_BYTES)
@example({template().index(b"CREATE TABLE adapters"): 255}, NUM_BYTES)
def test_whatever_happened_to_its_bytes_a_database_opens_and_works_on(changes: dict[int, int], length: int) -> None:
    """Or it claims to be a newer server's, if the bytes of its version were hit."""
    spoiled = bytearray(template())
    for place, value in changes.items():
        spoiled[place] = value

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(spoiled[:length])
        try:
            database = Database(path)
        except StoreTooNewError:
            assert changes.keys() & {60, 61, 62, 63}
            return
        adapter = StoredAdapter("new", "0f" * 32)
        database.add_revision(StoredRevision(adapter.digest, 1, 2.0))
        database.put_adapter(adapter)

        assert adapter in database.adapters()
        if database.dropped:
            assert (1, 1, 0) == (len(database.adapters()), len(database.revisions()), len(database.aliases()))
        database.close()
