"""Listeners at a Unix socket: `unix:PATH`, for this user alone."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SCHEME = "unix:"
_OWNER_ONLY = 0o177
_PROBE_SECONDS = 1.0


class SocketInUseError(Exception):
    """Another server listens at the socket, or its path is that of something else."""


def socket_path(address: str) -> Path | None:
    """The path of a Unix socket's address, None for any other address."""
    if not address.startswith(_SCHEME):
        return None
    path = address.removeprefix(_SCHEME)
    return Path(path.removeprefix("//") if path.startswith("//") else path)


@contextmanager
def binding(path: Path) -> Iterator[None]:
    """Bind a socket within the context so that nobody but its owner can connect, ever. Raises SocketInUseError.

    gRPC removes whatever socket has the path: without a look first, a second server would take it from the first.
    """
    if _is_taken(path):
        raise SocketInUseError
    # A change of the mode afterwards would leave a moment in which anybody may connect.
    previous = os.umask(_OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(previous)


def _is_taken(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    if not stat.S_ISSOCK(mode):
        return True
    with socket.socket(socket.AF_UNIX) as probe, suppress(ConnectionRefusedError):
        probe.settimeout(_PROBE_SECONDS)
        probe.connect(str(path))
        return True
    return False
