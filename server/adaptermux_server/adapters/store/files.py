"""Folders and files that only the owner may read, and writes that are on the disk when they return."""

import logging
import os
import shutil
from pathlib import Path

from adaptermux_server.failpoints import reach

FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_log = logging.getLogger(__name__)


def make_folder(path: Path) -> None:
    """Make a folder unless it is there; it is on the disk then, also where an earlier try was cut short."""
    path.mkdir(FOLDER_MODE, exist_ok=True)
    sync_folder(path.parent)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder: on the disk when this returns; after an error it is where it was."""
    os.rename(source, target)
    reach("store.renamed")
    try:
        sync_folder(target.parent)
        sync_folder(source.parent)
    except BaseException:
        os.rename(target, source)
        raise
    reach("store.parent_synced")


def create_file(path: Path, flags: int = os.O_WRONLY | os.O_EXCL) -> int:
    """A descriptor of the file, which is made if `flags` don't forbid it."""
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)


def write_all(descriptor: int, part: memoryview) -> None:
    """Write all bytes; a single write may take fewer."""
    while part:
        part = part[os.write(descriptor, part) :]


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are on the disk: those of new files, and those of moved ones."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Delete a file or a folder that nobody needs. Never fails: what stays is tried again when the store is opened."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("can't delete %s: %s", path.name, error.strerror)
