"""The content of an adapter's folder on this machine, and the revision that it has."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

WEIGHTS_FILE = "adapter_model.safetensors"
REQUIRED_FILES = ("adapter_config.json", WEIGHTS_FILE)
CONTENT_FILES = ("adapter_config.json", WEIGHTS_FILE, "config.json")
"""All that a content may have, sorted by name; whatever else lies in the folder has no part in it."""

CHUNK_BYTES = 1 << 20
"""The most that one message of an upload carries."""


class ContentChangedError(OSError):
    """A file has another length than when its folder was looked at."""


@dataclass(frozen=True, slots=True)
class ContentFile:
    """One file, with the length that it had when its folder was looked at."""

    path: Path
    name: str
    size_bytes: int

    def read(self) -> Iterator[bytes]:
        """Its bytes, piece by piece. Raises ContentChangedError where they are fewer or more than `size_bytes`."""
        left = self.size_bytes
        with self.path.open("rb", buffering=0) as stream:
            while part := stream.read(CHUNK_BYTES):
                left -= len(part)
                if left < 0:
                    break
                yield part
        if left:
            raise ContentChangedError(f"{self.path} changed while it was read")


@dataclass(frozen=True, slots=True)
class LocalContent:
    """The files of an adapter's folder that are its content, sorted by name."""

    files: tuple[ContentFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)

    def read(self) -> Iterator[bytes]:
        """The bytes of all files, one after the other."""
        for file in self.files:
            yield from file.read()

    def revision(self) -> str:
        """The lower-case hex sha-256 over the canonical form: for each file, in the order of names,

            <length of the name>:<name><length of the content>:<content>

        with lengths in bytes, in decimal ASCII. Reads all files. Raises OSError.
        """
        digest = hashlib.sha256()
        for file in self.files:
            name = file.name.encode()
            digest.update(b"%d:%s%d:" % (len(name), name, file.size_bytes))
            for part in file.read():
                digest.update(part)
        return digest.hexdigest()


def local_content(folder: str | os.PathLike[str]) -> LocalContent:
    """Look at an adapter's folder as `save_pretrained` writes it.

    Raises OSError where it can't be read; FileNotFoundError, which names the file, where one is missing.
    """
    root = Path(folder)
    names = set(os.listdir(root))
    for name in REQUIRED_FILES:
        if name not in names:
            raise FileNotFoundError(f"{root} has no {name}{_hint(name, names)}")
    return LocalContent(tuple(_file(root / name, name) for name in CONTENT_FILES if name in names))


def _file(path: Path, name: str) -> ContentFile:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe could wait for ever
        raise OSError(f"{path} is no plain file")
    return ContentFile(path, name, status.st_size)


def _hint(missing: str, names: Iterable[str]) -> str:
    pickled = missing == WEIGHTS_FILE and "adapter_model.bin" in names
    return (
        "; adapter_model.bin is a pickle, which no server takes: save with safe_serialization=True" if pickled else ""
    )
