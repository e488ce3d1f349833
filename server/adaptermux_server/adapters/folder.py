"""The folder of an adapter: which files it may hold, and reading them without being led elsewhere."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import TracebackType
from typing import BinaryIO, Self

from adaptermux_server.errors import SourceInvalidError

_MAX_FILES = 1000
_USED_FILES = frozenset({"adapter_config.json", "adapter_model.safetensors", "config.json"})
_LEFTOVERS = frozenset(
    {"LICENSE", "NOTICE", "README", ".gitattributes", ".gitignore", ".DS_Store"}
    # What transformers' Trainer leaves beside an adapter. Some are pickles: never opened, like every leftover.
    | {"training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth"}
)
_LEFTOVER_SUFFIXES = frozenset({".json", ".jsonl", ".md", ".txt", ".model", ".jinja"})
_PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """A file while it is open. It has exactly `num_bytes`, or reading it raises SourceInvalidError."""

    name: str
    num_bytes: int
    _stream: BinaryIO

    def read(self, num_bytes: int) -> bytes:
        """The next `num_bytes` bytes."""
        content = self._stream.read(num_bytes)
        if len(content) != num_bytes:
            raise SourceInvalidError(f"{self.name} became shorter while it was read: load it again", file=self.name)
        return content

    def read_to_end(self) -> bytes:
        """All bytes that are left."""
        return self.read(self.num_bytes - self._stream.tell())


class AdapterFolder:
    """The files of one folder, held by a descriptor: what it is renamed to or replaced by doesn't matter.

    Subfolders are never looked into. Files that nobody needs here but that usually lie beside an adapter (model cards,
    tokenizers, the Trainer's state) are never opened. Anything else is refused: perhaps it is what was meant to load.
    """

    def __init__(self, path: Path) -> None:
        """Raises SourceInvalidError where `path` is no readable folder or holds files that it may not."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise SourceInvalidError(f"the folder can't be read: {error.strerror}") from error
        try:
            self.names = _checked_names(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def read(self, name: str, max_bytes: int) -> bytes:
        """The content of file `name`. Raises SourceInvalidError as `open` does."""
        with self.open(name, max_bytes) as file:
            return file.read_to_end()

    @contextmanager
    def open(self, name: str, max_bytes: int) -> Iterator[AdapterFile]:
        """Open file `name`. Raises SourceInvalidError where it is missing, no plain file, or above `max_bytes`."""
        with self._stream(name) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceInvalidError(f"{name} isn't a plain file", file=name)
            if status.st_size > max_bytes:
                raise SourceInvalidError(f"{name} has {status.st_size} bytes, allowed are {max_bytes}", file=name)
            yield AdapterFile(name, status.st_size, stream)

    def _stream(self, name: str) -> BinaryIO:
        try:
            return open(name, "rb", opener=self._descriptor_of)
        except FileNotFoundError as error:
            raise SourceInvalidError(f"{name} is missing: save the adapter with save_pretrained", file=name) from error
        except OSError as error:
            raise SourceInvalidError(f"{name} can't be read: {error.strerror}", file=name) from error

    def _descriptor_of(self, name: str, flags: int) -> int:
        # O_NONBLOCK: a named pipe of this name must not hold the thread.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._descriptor)


def _checked_names(descriptor: int) -> frozenset[str]:
    names: set[str] = set()
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if len(names) >= _MAX_FILES:
                raise SourceInvalidError(f"the folder holds more than {_MAX_FILES} files: this can't be an adapter")
            # Names needn't be text, and what is no text can't be sent to the caller.
            name = os.fsencode(entry.name).decode("utf-8", "replace")
            if entry.is_symlink():
                raise SourceInvalidError(f"{name!r} is a symlink, and none is followed: copy the file", file=name)
            if not entry.is_dir(follow_symlinks=False):
                _check_name(name)
                names.add(name)
    return frozenset(names)


def _check_name(name: str) -> None:
    suffix = PurePath(name).suffix.lower()
    if name in _USED_FILES or name in _LEFTOVERS or suffix in _LEFTOVER_SUFFIXES:
        return
    if suffix in _PICKLE_SUFFIXES:
        raise SourceInvalidError(
            f"{name!r} may be a pickle and is never opened: save with save_pretrained(…, safe_serialization=True) and"
            " remove it",
            file=name,
        )
    raise SourceInvalidError(f"{name!r} is no file of an adapter: remove it from the folder", file=name)
