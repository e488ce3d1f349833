"""The content of an adapter's folder, and its revision, as docs/revisions.md tells; no code of server or client."""

import hashlib
from pathlib import Path

_NAMES = ("adapter_config.json", "adapter_model.safetensors", "config.json")


def files_of(folder: Path) -> dict[str, bytes]:
    """The files that are the content, by name, sorted."""
    return {name: (folder / name).read_bytes() for name in _NAMES if (folder / name).exists()}


def revision_of(folder: Path) -> str:
    """64 lower-case hex digits."""
    digest = hashlib.sha256()
    for name, content in files_of(folder).items():
        digest.update(b"%d:%s%d:%s" % (len(name), name.encode(), len(content), content))
    return digest.hexdigest()
