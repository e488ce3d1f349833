"""Opening the database whatever a crash or a bad disk has left: damage moves it aside and never keeps a server down."""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adaptermux_server.adapters.store import rows
from adaptermux_server.adapters.store.failures import sqlite_code
from adaptermux_server.adapters.store.files import create_file, sync_folder
from adaptermux_server.adapters.store.migrations import migrate, version_of
from adaptermux_server.failpoints import reach

_OF_THE_MACHINE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
    }
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DroppedDatabase:
    """A database that was moved aside."""

    path: Path
    """Where it lies now."""
    problem: str
    adapter_ids: tuple[str, ...]
    """Adapters that it held, as far as they can be read; they no longer serve."""


class _DamagedError(Exception):
    """What is in the file can't be trusted."""


def open_database(path: Path, clock: Callable[[], float]) -> tuple[sqlite3.Connection, DroppedDatabase | None]:
    """Open the database, in autocommit mode, up to date and readable in whole; make it if there is none.

    What is damaged isn't salvaged: an id that points to a stale revision would give wrong answers.

    Returns the connection, and what had to be moved aside for it.

    Raises StoreTooNewError, OSError, or sqlite3.Error where the machine and not the file is at fault.
    """
    try:
        return _opened(path), None
    except _DamagedError as error:
        dropped = _move_aside(path, str(error), clock)
        return _opened(path), dropped


def _opened(path: Path) -> sqlite3.Connection:
    _create(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        with _damage_told():
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            _check_sound(connection)
        migrate(connection, path)
        with _damage_told():
            _read_all(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Make the file, for its owner alone: SQLite gives the files beside it the same mode."""
    if path.exists():
        # Tells a file that can't be written from one whose header says so.
        os.close(create_file(path, os.O_RDWR))
        return
    os.close(create_file(path))
    sync_folder(path.parent)
    reach("database.created")


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if sqlite_code(error) in _OF_THE_MACHINE:
            raise
        raise _DamagedError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise _DamagedError(f"it holds what makes no sense: {error}") from error


def _check_sound(connection: sqlite3.Connection) -> None:
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise _DamagedError(str(verdict))
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise _DamagedError("a row refers to one that isn't there")
    (num_objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    version = version_of(connection)
    if version < 0 or (num_objects and not version):
        raise _DamagedError(f"it has tables and the version {version}")
    # A damaged header can make SQLite take the file for read-only; it tells at the first write.
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("ROLLBACK")


def _read_all(connection: sqlite3.Connection) -> None:
    rows.read_revisions(connection)
    rows.read_unused_revisions(connection)
    rows.read_aliases(connection)
    for adapter in rows.read_adapters(connection):
        rows.read_earlier_revisions(connection, adapter.id)


def _move_aside(path: Path, problem: str, clock: Callable[[], float]) -> DroppedDatabase:
    stamp = datetime.fromtimestamp(clock(), UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    dropped = DroppedDatabase(path.with_name(f"{path.name}.corrupt-{stamp}"), problem, _legible_ids(path))
    _log.error(
        "the database is damaged (%s): it is moved to %s, and its adapters and aliases are dropped (adapters: %s)",
        problem,
        dropped.path.name,
        ", ".join(dropped.adapter_ids) or "none can be read",
    )
    # Its log, if any is left, stays: SQLite deletes the log that it finds beside an empty database.
    path.rename(dropped.path)
    reach("database.moved_aside")
    sync_folder(path.parent)
    return dropped


def _legible_ids(path: Path) -> tuple[str, ...]:
    ids: list[str] = []
    # Texts of SQLite's own errors may quote bytes that are no text.
    with suppress(sqlite3.Error, UnicodeDecodeError):
        connection = sqlite3.connect(path)
        try:
            for (adapter_id,) in connection.execute("SELECT id FROM adapters"):
                ids.append(str(adapter_id))
        finally:
            connection.close()
    return tuple(sorted(ids))
