"""Changes of the database that happen as a whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from adaptermux_server.failpoints import reach


@contextmanager
def committed(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done within, durably; after an error nothing of it was done. `connection`: in autocommit mode."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        reach("database.before_commit")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after some errors, that of a full disk for one.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    reach("database.after_commit")
