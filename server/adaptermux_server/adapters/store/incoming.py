"""A content on its way into the store: its bytes as they come, checked against what was announced."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from adaptermux_server.adapters.canonical import CONTENT_FILES, REQUIRED_FILES, CanonicalHash
from adaptermux_server.adapters.limits import CheckpointLimits
from adaptermux_server.adapters.store.failures import storage_failures
from adaptermux_server.adapters.store.files import FOLDER_MODE, create_file, discard, sync_folder, write_all
from adaptermux_server.errors import DigestMismatchError, SourceInvalidError
from adaptermux_server.failpoints import reach

AnnouncedFile = tuple[str, int]
"""The name of a file and its length in bytes."""


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A content that is in the store."""

    digest: str
    num_bytes: int
    """Of all its files."""
    already_stored: bool
    """Whether it was there before."""


def check_files(files: Sequence[AnnouncedFile], limits: CheckpointLimits) -> None:
    """Raise SourceInvalidError unless these may be the files of a content, in its order and within the limits."""
    names = [name for name, _ in files]
    if names != [name for name in CONTENT_FILES if name in names]:
        raise SourceInvalidError(f"the files must be some of {', '.join(CONTENT_FILES)}, once each and in this order")
    for name in sorted(REQUIRED_FILES.difference(names)):
        raise SourceInvalidError(f"{name} is missing: save the adapter with save_pretrained", file=name)
    for name, num_bytes in files:
        if not 0 <= num_bytes <= limits.of_file(name):
            raise SourceInvalidError(f"{name}: {num_bytes} bytes, allowed are {limits.of_file(name)}", file=name)


class Incoming:
    """Takes the bytes of all files one after the other, however they are cut; then `commit`, or else `abort`.

    After an error, and at the end of its context, nothing is left of what wasn't committed. Any thread may call it; an
    abort waits for the call under way.
    """

    def __init__(
        self, folder: Path, files: Sequence[AnnouncedFile], digest: str | None, publish: Callable[[str, int], bool]
    ) -> None:
        """Args:
        folder: of its own, to be made.
        files: checked.
        digest: what the content must have; None: any.
        publish: puts the whole folder in place, by digest and length; returns whether the content was there before.
        """
        self._folder = folder
        self._files = iter(files)
        self._num_bytes = sum(num_bytes for _, num_bytes in files)
        self._digest = digest
        self._publish = publish
        self._hash = CanonicalHash()
        self._name = ""
        self._descriptor: int | None = None
        self._missing_bytes = 0
        """Of the file that is open."""
        self._ended = False
        self._lock = threading.Lock()
        with self._or_nothing():
            os.mkdir(folder, FOLDER_MODE)
            reach("store.begun")
            self._open_next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.abort()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises SourceInvalidError beyond the end of the last file, StoreFullError or StoreUnavailableError.
        """
        with self._or_nothing():
            rest = memoryview(chunk)
            while rest:
                if self._descriptor is None:
                    raise SourceInvalidError(f"{len(rest)} bytes came beyond the announced end of {self._name}")
                part = rest[: self._missing_bytes]
                write_all(self._descriptor, part)
                self._hash.update(part)
                self._missing_bytes -= len(part)
                rest = rest[len(part) :]
                if not self._missing_bytes:
                    self._finish_file()
                    self._open_next()

    def commit(self) -> StoredContent:
        """Put the content into the store, in one step.

        Raises SourceInvalidError where bytes are missing, DigestMismatchError, StoreFullError, StoreUnavailableError.
        """
        with self._or_nothing():
            if self._descriptor is not None:
                raise SourceInvalidError(
                    f"{self._name} lacks its last {self._missing_bytes} bytes, and what follows", file=self._name
                )
            digest = self._hash.hexdigest()
            if self._digest not in (None, digest):
                raise DigestMismatchError(str(self._digest), digest)
            sync_folder(self._folder)
            reach("store.folder_synced")
            already_stored = self._publish(digest, self._num_bytes)
            self._end()
        return StoredContent(digest, self._num_bytes, already_stored)

    def abort(self) -> None:
        """Forget what came. Does nothing after a commit or an abort."""
        with self._lock:
            self._end()

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        with self._lock:
            if self._ended:
                raise ValueError("this is a bug: the content was committed or aborted before")
            try:
                with storage_failures():
                    yield
            except BaseException:
                self._end()
                raise

    def _open_next(self) -> None:
        """Open the next file that has bytes, and finish those before it that have none."""
        for name, num_bytes in self._files:
            self._hash.begin_file(name, num_bytes)
            self._descriptor = create_file(self._folder / name)
            self._name, self._missing_bytes = name, num_bytes
            if num_bytes:
                return
            self._finish_file()

    def _finish_file(self) -> None:
        if self._descriptor is not None:
            reach("store.file_written")
            os.fsync(self._descriptor)
            reach("store.file_synced")
        self._close_file()

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._close_file()
            discard(self._folder)
