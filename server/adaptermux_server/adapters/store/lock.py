"""One process for each store: a second one would delete what the first is writing."""

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from adaptermux_server.adapters.store.failures import StoreOpenError
from adaptermux_server.adapters.store.files import create_file

_MAX_TEXT_BYTES = 1000


class StoreLockedError(StoreOpenError):
    """Another process holds the store."""

    def __init__(self, folder: Path, holder: str) -> None:
        """`holder`: what the other process wrote about itself."""
        super().__init__(
            f"the store {folder} is in use by {holder or 'another process'}: stop that one first, or give this one a"
            " folder of its own"
        )
        self.holder = holder


class StoreLock:
    """Held from its making to `close`, or to the end of the process however that comes."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Take the lock and write into its file who holds it since when. Raises StoreLockedError."""
        self._descriptor = create_file(path, os.O_RDWR)
        try:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(self._descriptor, _MAX_TEXT_BYTES, 0).decode("utf-8", "replace").strip()
                raise StoreLockedError(path.parent, holder) from error
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()}, started {_shown(clock())}\n".encode(), 0)
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let another process take it."""
        os.close(self._descriptor)


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
