"""What is registered, in SQLite: revisions, adapters with what served before under their ids, and aliases.

Each change is one transaction, and is on the disk when its method returns.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adaptermux_server.adapters.store import rows
from adaptermux_server.adapters.store.failures import storage_failures
from adaptermux_server.adapters.store.opening import DroppedDatabase, open_database
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredRevision, StoredServing
from adaptermux_server.adapters.store.transactions import committed
from adaptermux_server.errors import RevisionNotFoundError

MAX_EARLIER_REVISIONS = 10


class Database:
    """The only connection to the file. Any thread may use it; they take turns.

    Every method raises StoreFullError or StoreUnavailableError where the disk fails, and has then changed nothing.
    """

    dropped: DroppedDatabase | None
    """The damaged database that was found and moved aside at the opening."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open it, or make it. `clock`: seconds since the epoch.

        Raises StoreTooNewError, StoreFullError or StoreUnavailableError.
        """
        self._lock = threading.Lock()
        self._clock = clock
        with storage_failures():
            self._connection, self.dropped = open_database(path, clock)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def revisions(self) -> tuple[StoredRevision, ...]:
        """All revisions, by digest."""
        with self._reading() as connection:
            return rows.read_revisions(connection)

    def unused_revisions(self) -> tuple[StoredRevision, ...]:
        """Revisions that no adapter has or had, by digest: what may be removed. (Aliases point to adapters.)"""
        with self._reading() as connection:
            return rows.read_unused_revisions(connection)

    def add_revision(self, revision: StoredRevision) -> None:
        """Note a content; one that is known gets the new size and time."""
        with self._changing() as connection:
            connection.execute(
                """
                INSERT INTO revisions (digest, num_bytes, added_at) VALUES (?, ?, ?)
                ON CONFLICT (digest) DO UPDATE SET num_bytes = excluded.num_bytes, added_at = excluded.added_at
                """,
                (revision.digest, revision.num_bytes, revision.added_at),
            )

    def delete_revision(self, digest: str) -> bool:
        """Forget a content; returns False, and keeps it, where an adapter has or had it."""
        with self._changing() as connection:
            for table in ("adapters", "earlier_revisions"):
                if connection.execute(f"SELECT 1 FROM {table} WHERE digest = ?", (digest,)).fetchone():
                    return False
            connection.execute("DELETE FROM revisions WHERE digest = ?", (digest,))
            return True

    def adapters(self) -> tuple[StoredAdapter, ...]:
        """All adapters, by id."""
        with self._reading() as connection:
            return rows.read_adapters(connection)

    def earlier_revisions(self, adapter_id: str) -> tuple[StoredServing, ...]:
        """What served before under this id, newest first: all different, not the present one.

        At most 10, and beyond these what aliases point at.
        """
        with self._reading() as connection:
            return rows.read_earlier_revisions(connection, adapter_id)

    def put_adapter(self, adapter: StoredAdapter) -> tuple[StoredServing, ...]:
        """Add an adapter, or replace the one of this id. Where the digest changes, the old one becomes an earlier one.

        Returns the earlier revisions, as `earlier_revisions` does.

        Raises RevisionNotFoundError where the digest isn't one of a noted revision.
        """
        with self._changing() as connection:
            if not connection.execute("SELECT 1 FROM revisions WHERE digest = ?", (adapter.digest,)).fetchone():
                raise RevisionNotFoundError(adapter.digest)
            before = connection.execute("SELECT digest FROM adapters WHERE id = ?", (adapter.id,)).fetchone()
            known = _digests_of(connection, adapter.id)
            if before and before[0] != adapter.digest:
                _move_revision(connection, adapter.id, adapter.digest)
            _upsert(connection, adapter)
            self._let_age(connection, known - _digests_of(connection, adapter.id))
            return rows.read_earlier_revisions(connection, adapter.id)

    def delete_adapter(self, adapter_id: str) -> tuple[str, ...]:
        """Forget an adapter and what served before it, if it is there; returns their digests. The contents stay."""
        with self._changing() as connection:
            digests = _digests_of(connection, adapter_id)
            connection.execute("DELETE FROM adapters WHERE id = ?", (adapter_id,))
            self._let_age(connection, digests)
            return tuple(sorted(digests))

    def aliases(self) -> tuple[StoredAlias, ...]:
        """All aliases, by name."""
        with self._reading() as connection:
            return rows.read_aliases(connection)

    def put_alias(self, alias: StoredAlias) -> None:
        """Add an alias, or replace the one of this name with all its targets."""
        with self._changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO aliases (name, targets, update_time) VALUES (?, ?, ?)",
                (alias.name, json.dumps(alias.targets), alias.update_time),
            )

    def delete_alias(self, name: str) -> None:
        """Forget an alias, if it is there."""
        with self._changing() as connection:
            connection.execute("DELETE FROM aliases WHERE name = ?", (name,))

    def _let_age(self, connection: sqlite3.Connection, digests: Iterable[str]) -> None:
        """Begin the age of contents anew that an adapter has no more: they may be loaded again for some time."""
        connection.executemany(
            "UPDATE revisions SET added_at = ? WHERE digest = ?", [(self._clock(), digest) for digest in digests]
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, storage_failures():
            yield self._connection

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection, committed(connection):
            yield connection


def _digests_of(connection: sqlite3.Connection, adapter_id: str) -> set[str]:
    """What an id has and had."""
    found = connection.execute(
        "SELECT digest FROM adapters WHERE id = :id UNION SELECT digest FROM earlier_revisions WHERE adapter_id = :id",
        {"id": adapter_id},
    )
    return {digest for (digest,) in found}


def _upsert(connection: sqlite3.Connection, adapter: StoredAdapter) -> None:
    # Not INSERT OR REPLACE: that deletes the row first, and with it the earlier revisions.
    connection.execute(
        """
        INSERT INTO adapters
            (id, digest, labels, problem_type, weight, max_wait_seconds, pinned, metadata, uri, changed_at, spec, base)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET
            digest = excluded.digest, labels = excluded.labels, problem_type = excluded.problem_type,
            weight = excluded.weight, max_wait_seconds = excluded.max_wait_seconds, pinned = excluded.pinned,
            metadata = excluded.metadata, uri = excluded.uri, changed_at = excluded.changed_at,
            spec = excluded.spec, base = excluded.base
        """,
        (
            adapter.id,
            adapter.digest,
            json.dumps(adapter.labels),
            adapter.problem_type and adapter.problem_type.value,
            adapter.weight,
            adapter.max_wait_seconds,
            adapter.pinned,
            json.dumps(dict(adapter.metadata)),
            adapter.uri,
            adapter.changed_at,
            rows.written_spec(adapter.spec),
            adapter.base,
        ),
    )


def _move_revision(connection: sqlite3.Connection, adapter_id: str, now: str) -> None:
    """Note that an id will move from what it has; a revision that it goes back to is no earlier one any more."""
    values = {"id": adapter_id, "now": now, "most": MAX_EARLIER_REVISIONS, "aliased": _aliased(connection, adapter_id)}
    connection.execute("DELETE FROM earlier_revisions WHERE adapter_id = :id AND digest = :now", values)
    connection.execute(
        """
        INSERT INTO earlier_revisions (adapter_id, digest, labels, problem_type, spec, number)
        SELECT id, digest, labels, problem_type, spec,
            (SELECT coalesce(max(number), 0) + 1 FROM earlier_revisions WHERE adapter_id = :id)
        FROM adapters WHERE id = :id
        """,
        values,
    )
    connection.execute(
        """
        DELETE FROM earlier_revisions WHERE adapter_id = :id AND digest NOT IN (
            SELECT digest FROM earlier_revisions WHERE adapter_id = :id ORDER BY number DESC LIMIT :most
        ) AND digest NOT IN (SELECT value FROM json_each(:aliased))
        """,
        values,
    )


def _aliased(connection: sqlite3.Connection, adapter_id: str) -> str:
    """The revisions of an adapter that aliases point at, which must not be forgotten; as a JSON list."""
    targets = (target for alias in rows.read_aliases(connection) for target, _ in alias.targets)
    references = (target.partition("@") for target in targets)
    return json.dumps([revision for found, _, revision in references if revision and found == adapter_id])
