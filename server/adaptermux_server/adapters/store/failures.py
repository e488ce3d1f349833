"""Failures of the disk, told apart: what a caller can act on, what an operator must, and what is a fault."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from adaptermux_server.errors import StoreFullError, StoreUnavailableError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNAVAILABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


class StoreOpenError(Exception):
    """The store can't be opened by this process; the message is for the operator who starts it."""


@contextmanager
def storage_failures() -> Iterator[None]:
    """Turn what a caller may be told of a failing disk into StoreFullError or StoreUnavailableError.

    Other failures stay as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFullError from error
        if error.errno in _UNAVAILABLE:
            raise StoreUnavailableError(str(error.strerror)) from error
        raise
    except sqlite3.Error as error:
        if sqlite_code(error) == sqlite3.SQLITE_FULL:
            raise StoreFullError from error
        if sqlite_code(error) in _SQLITE_UNAVAILABLE:
            raise StoreUnavailableError(str(error)) from error
        raise


def sqlite_code(error: sqlite3.Error) -> int | None:
    """The primary result code (https://sqlite.org/rescode.html); None where Python itself raised the error."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
