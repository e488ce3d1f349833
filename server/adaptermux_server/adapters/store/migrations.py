"""The tables of the database, as the steps that led to them; `PRAGMA user_version` counts those that were taken.

Steps are added at the end and never changed. A new value of a stored enumeration needs a step too, if an empty one:
it keeps an older server from taking the value for damage.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from adaptermux_server.adapters.store.failures import StoreOpenError
from adaptermux_server.adapters.store.transactions import committed

Migration = Sequence[str]
"""Statements that are applied together or not at all."""

MIGRATIONS: Sequence[Migration] = (
    (
        """
        CREATE TABLE revisions (
            digest TEXT NOT NULL PRIMARY KEY,
            num_bytes INTEGER NOT NULL,
            added_at REAL NOT NULL
        )
        """,
        """
        CREATE TABLE adapters (
            id TEXT NOT NULL PRIMARY KEY,
            digest TEXT NOT NULL REFERENCES revisions,
            labels TEXT NOT NULL,
            problem_type TEXT,
            weight REAL NOT NULL,
            max_wait_seconds REAL,
            pinned INTEGER NOT NULL,
            metadata TEXT NOT NULL,
            uri TEXT NOT NULL,
            changed_at REAL NOT NULL,
            spec TEXT,
            base TEXT NOT NULL
        )
        """,
        "CREATE INDEX adapters_by_digest ON adapters (digest)",
        """
        CREATE TABLE earlier_revisions (
            adapter_id TEXT NOT NULL REFERENCES adapters ON DELETE CASCADE,
            digest TEXT NOT NULL REFERENCES revisions,
            labels TEXT NOT NULL,
            problem_type TEXT,
            spec TEXT,
            number INTEGER NOT NULL,
            PRIMARY KEY (adapter_id, digest)
        )
        """,
        "CREATE INDEX earlier_revisions_by_digest ON earlier_revisions (digest)",
        """
        CREATE TABLE aliases (
            name TEXT NOT NULL PRIMARY KEY,
            targets TEXT NOT NULL,
            update_time REAL NOT NULL
        )
        """,
    ),
)


class StoreTooNewError(StoreOpenError):
    """The database was written by a newer server."""

    def __init__(self, path: Path, version: int, known_version: int) -> None:
        super().__init__(
            f"the database {path} has version {version}, and this server knows versions up to {known_version}: start"
            " the newer server again, or give this one a folder of its own"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the database has seen."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the database (in autocommit mode) up to date, each migration in a transaction of its own.

    Raises StoreTooNewError where it has seen more migrations than there are; it is left as it is.
    """
    version = version_of(connection)
    if version > len(migrations):
        raise StoreTooNewError(path, version, len(migrations))
    for number, statements in enumerate(migrations[version:], version + 1):
        with committed(connection):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
