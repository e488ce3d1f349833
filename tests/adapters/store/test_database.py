"""What is registered is there again after a restart, and each change is one step."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptermux_server.adapters.store.database import MAX_EARLIER_REVISIONS, Database
from adaptermux_server.adapters.store.migrations import MIGRATIONS, StoreTooNewError, migrate, version_of
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredRevision
from adaptermux_server.errors import RevisionNotFoundError, StoreFullError, StoreUnavailableError
from adaptermux_server.types import ProblemType
from tests.adapters.store.builders import SPEC, digest, execute

FULL = StoredAdapter(
    id="sentiment",
    digest=digest(0),
    labels=("neg", "«pos»\n", "\0"),
    problem_type=ProblemType.MULTI_LABEL,
    weight=0.1 + 0.2,
    max_wait_seconds=1e-300,
    pinned=True,
    metadata={"tenant": "acme", "note": 'a "quoted" ü 😀'},
    uri="file:///srv/adapters/sentiment",
    changed_at=1_700_000_000.123456,
    spec=SPEC,
    base="ab12",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path)
    for number in range(15):
        database.add_revision(StoredRevision(digest(number), 10 + number, float(number)))
    yield database
    database.close()


@pytest.mark.parametrize("adapter", [FULL, StoredAdapter("plain", digest(1))], ids=["all set", "defaults"])
def test_an_adapter_comes_back_as_it_was_put(database: Database, path: Path, adapter: StoredAdapter) -> None:
    database.put_adapter(adapter)
    database.close()

    again = Database(path)

    assert (adapter,) == again.adapters()
    assert again.dropped is None
    again.close()


def test_an_adapter_that_is_put_again_has_the_new_options_and_no_earlier_revision(database: Database) -> None:
    database.put_adapter(FULL)
    changed = StoredAdapter("sentiment", digest(0), weight=2.0)

    earlier = database.put_adapter(changed)

    assert ((), (changed,)) == (earlier, database.adapters())


def test_adapters_are_sorted_by_id(database: Database) -> None:
    for adapter_id in ("b", "a", "a-b", "a.b"):
        database.put_adapter(StoredAdapter(adapter_id, digest(0)))

    assert ["a", "a-b", "a.b", "b"] == [adapter.id for adapter in database.adapters()]


def test_what_served_before_is_remembered_newest_first(database: Database) -> None:
    adapters = [StoredAdapter("a", digest(number), labels=(f"label {number}",), spec=SPEC) for number in (0, 1, 2)]
    for adapter in adapters:
        earlier = database.put_adapter(adapter)

    assert (adapters[1].serving, adapters[0].serving) == earlier == database.earlier_revisions("a")
    assert () == database.earlier_revisions("b")


def test_a_revision_that_an_id_goes_back_to_is_no_earlier_one(database: Database) -> None:
    for number in (0, 1, 2, 0):
        earlier = database.put_adapter(StoredAdapter("a", digest(number)))

    assert (digest(2), digest(1)) == tuple(found.digest for found in earlier)


def test_the_oldest_of_too_many_earlier_revisions_is_forgotten(database: Database) -> None:
    for number in range(13):
        earlier = database.put_adapter(StoredAdapter("a", digest(number)))

    assert MAX_EARLIER_REVISIONS == len(earlier) == 10
    assert tuple(digest(number) for number in range(11, 1, -1)) == tuple(found.digest for found in earlier)


def test_an_adapter_of_unknown_content_is_refused(database: Database) -> None:
    with pytest.raises(RevisionNotFoundError):
        database.put_adapter(StoredAdapter("a", "0f" * 32))

    assert () == database.adapters()


def test_a_deleted_adapter_takes_its_past_with_it(database: Database) -> None:
    for number in (0, 1):
        database.put_adapter(StoredAdapter("a", digest(number)))

    database.delete_adapter("a")
    database.delete_adapter("a")

    assert ((), ()) == (database.adapters(), database.earlier_revisions("a"))
    assert () == database.put_adapter(StoredAdapter("a", digest(2)))


def test_revisions_that_no_adapter_has_or_had_are_unused(database: Database) -> None:
    for number in range(14):
        database.put_adapter(StoredAdapter("a", digest(number)))
    database.put_adapter(StoredAdapter("b", digest(0)))

    # 13 serves as `a`, 3 to 12 did before, 0 serves as `b`.
    unused = {digest(1), digest(2), digest(14)}
    assert unused == {revision.digest for revision in database.unused_revisions()}


def test_only_an_unused_revision_can_be_deleted(database: Database) -> None:
    for number in (0, 1):
        database.put_adapter(StoredAdapter("a", digest(number)))

    assert [False, False, True, True] == [database.delete_revision(digest(number)) for number in (0, 1, 2, 2)]
    assert {0.0, 1.0} <= {revision.added_at for revision in database.revisions()}
    assert digest(2) not in {revision.digest for revision in database.revisions()}


def test_a_revision_that_is_added_again_stays_in_use(database: Database) -> None:
    database.put_adapter(StoredAdapter("a", digest(0)))

    database.add_revision(StoredRevision(digest(0), 99, 99.0))

    assert StoredRevision(digest(0), 99, 99.0) in database.revisions()
    assert ["a"] == [adapter.id for adapter in database.adapters()]


def test_an_alias_comes_back_as_it_was_put_last(database: Database, path: Path) -> None:
    database.put_alias(StoredAlias("prod", (("a", 1), ("b", 1_000_000)), 1.5))
    database.put_alias(StoredAlias("canary", (("b", 2),), 2.5))
    database.put_alias(StoredAlias("prod", (("c", 3),), 3.5))
    database.close()

    again = Database(path)

    assert (StoredAlias("canary", (("b", 2),), 2.5), StoredAlias("prod", (("c", 3),), 3.5)) == again.aliases()
    again.close()


def test_a_deleted_alias_is_gone(database: Database) -> None:
    database.put_alias(StoredAlias("prod", (("a", 1),)))

    database.delete_alias("prod")
    database.delete_alias("prod")

    assert () == database.aliases()


def test_many_threads_take_turns(database: Database) -> None:
    """And each reads what it has written."""
    found: dict[int, bool] = {}

    def put(number: int) -> None:
        adapter = StoredAdapter(f"a{number}", digest(number))
        database.put_adapter(adapter)
        found[number] = adapter in database.adapters()

    threads = [threading.Thread(target=put, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    assert dict.fromkeys(range(8), True) == dict(sorted(found.items()))
    assert 8 == len(database.adapters())


def test_commits_are_synced(database: Database) -> None:
    """A write-ahead log that is synced at each commit (synchronous = FULL), and references that hold."""
    pragmas = ("journal_mode", "synchronous", "foreign_keys")

    with database._reading() as connection:
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    assert ["wal", 2, 1] == found


def test_row_22_a_full_disk_changes_nothing(database: Database) -> None:
    database.put_adapter(StoredAdapter("a", digest(0)))
    with database._reading() as connection:
        (num_pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {num_pages}")

    with pytest.raises(StoreFullError):
        database.put_adapter(StoredAdapter("a", digest(1), metadata={"x": "y" * 100_000}))

    assert (StoredAdapter("a", digest(0)),) == database.adapters()
    assert () == database.put_adapter(StoredAdapter("a", digest(0), weight=2.0))


def test_row_22_a_read_only_database_changes_nothing(database: Database) -> None:
    with database._reading() as connection:
        connection.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreUnavailableError):
        database.put_alias(StoredAlias("prod", (("a", 1),)))

    assert () == database.aliases()


def test_a_database_of_a_newer_server_is_refused_and_left_alone(database: Database, path: Path) -> None:
    database.close()
    execute(path, "PRAGMA user_version = 99")
    before = path.read_bytes()

    with pytest.raises(StoreTooNewError, match=rf"version 99, and this server knows versions up to {len(MIGRATIONS)}:"):
        Database(path)

    assert before == path.read_bytes()
    assert [path.name] == [found.name for found in path.parent.iterdir()]


def test_an_older_database_is_brought_up_to_date(database: Database, path: Path) -> None:
    database.put_adapter(FULL)
    with database._reading() as connection:
        migrate(connection, path, [*MIGRATIONS, ["CREATE TABLE more (x)"], ["INSERT INTO more VALUES (1)"]])

        assert len(MIGRATIONS) + 2 == version_of(connection)
        assert (1,) == connection.execute("SELECT x FROM more").fetchone()
    assert (FULL,) == database.adapters()


def test_a_migration_that_fails_is_undone_as_a_whole(database: Database, path: Path) -> None:
    """Those before it stay; the next start tries it again."""
    steps = [*MIGRATIONS, ["CREATE TABLE more (x)"], ["INSERT INTO more VALUES (1)", "INSERT INTO nowhere VALUES (1)"]]
    with database._reading() as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, path, steps)

        assert len(MIGRATIONS) + 1 == version_of(connection)
        assert connection.execute("SELECT x FROM more").fetchone() is None
