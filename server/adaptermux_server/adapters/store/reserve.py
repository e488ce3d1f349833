"""Room on the disk that is given up when the disk is full: to forget something takes a little room too."""

import logging
import os
from pathlib import Path

from adaptermux_server.adapters.store.files import create_file, discard

_SIZES = (256 << 10, 128 << 10, 64 << 10, 32 << 10)
"""In bytes; a change of the database writes some ten thousand."""
_log = logging.getLogger(__name__)


class Reserve:
    """A file of no content. Its room isn't there for sure: another program, or another call, may be quicker."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Take as much of the room as there is. Never fails: it is tried again at the next opening."""
        if not any(map(self._take, _SIZES)):
            _log.warning("the store's disk has no room that could be kept for deletions")

    def give_up(self) -> None:
        """Free the room."""
        discard(self._path)

    def _take(self, num_bytes: int) -> bool:
        try:
            descriptor = create_file(self._path, os.O_WRONLY)
            try:
                os.posix_fallocate(descriptor, 0, num_bytes)
            finally:
                os.close(descriptor)
        except OSError:
            discard(self._path)
            return False
        return True
