"""New entries in a file of tokens, beside a server that may be reading it."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adaptermux_server.transport.security.files import MAX_BYTES, SecurityFileError
from adaptermux_server.transport.security.tokens import content_of, entries_of


def append_entry(path: Path, entry: str) -> None:
    """Add an entry to a file of tokens, or begin one that its owner alone may read.

    The file has the entry as a whole or not at all, whatever happens; links to it stay. Raises SecurityFileError if it
    can't be read or written, or couldn't be used with the entry: since it has the name, say.
    """
    path = path.resolve()
    try:
        with _alone_in(path.parent):
            before = content_of(path) if path.exists() else b""
            after = before + (b"\n" if before else b"") + entry.encode()
            if len(after) > MAX_BYTES:
                raise SecurityFileError(f"{path} would be larger than {MAX_BYTES} bytes")
            entries_of(path, after)
            _replace(path, after)
    except OSError as error:
        raise SecurityFileError(f"{path} can't be written: {error.strerror}") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Of all who write files of tokens in a folder: two of them at once would lose an entry."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of one, which may not be there, with the same owner and mode."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            if path.exists():
                status = path.stat()
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
