"""Looking at the contents on the disk: are they what they were when they were stored?"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from adaptermux_server.adapters.canonical import CONTENT_FILES, REQUIRED_FILES, CanonicalHash, is_digest

_CHUNK_BYTES = 1 << 20


class DamagedContentError(Exception):
    """A content isn't what was stored; the message says why, for the operator."""


def place_of(root: Path, digest: str) -> Path:
    """The folder of a content; spread over 256 folders, so that none grows large."""
    return root / digest[:2] / digest


def digests_in(root: Path) -> Iterator[str]:
    """The contents that lie in their places, in order, whole or not. What else is there is none of ours."""
    for shard in sorted(root.glob("[0-9a-f][0-9a-f]")):
        for place in sorted(shard.iterdir()):
            if is_digest(place.name) and place == place_of(root, place.name):
                yield place.name


def num_bytes_in(folder: Path) -> int:
    """The length of all files of a content. Raises DamagedContentError where they aren't those of a content."""
    return sum(_sizes(folder).values())


def check_digest_of(folder: Path) -> None:
    """Read a content anew. Raises DamagedContentError where its digest isn't the name of its folder."""
    try:
        digest = _digest_of(folder)
    except OSError as error:
        raise DamagedContentError(f"can't be read: {error.strerror}") from error
    if digest != folder.name:
        raise DamagedContentError("its bytes have changed")


def _digest_of(folder: Path) -> str:
    digest = CanonicalHash()
    for name, num_bytes in sorted(_sizes(folder).items()):
        digest.begin_file(name, num_bytes)
        with open(folder / name, "rb") as file:
            while part := file.read(_CHUNK_BYTES):
                digest.update(part)
    return digest.hexdigest()


def _sizes(folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.name not in CONTENT_FILES or not stat.S_ISREG(status.st_mode):
                    raise DamagedContentError(f"{entry.name!r} is no file of a content")
                sizes[entry.name] = status.st_size
    except OSError as error:
        raise DamagedContentError(f"can't be read: {error.strerror}") from error
    for name in sorted(REQUIRED_FILES - sizes.keys()):
        raise DamagedContentError(f"{name} is missing")
    return sizes
