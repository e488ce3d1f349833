"""The canonical form of an adapter's content, whose sha-256 is its revision.

For each file, in the order of names:

    <length of the name>:<name><length of the content>:<content>

Lengths are in bytes, in decimal ASCII. They make the form unambiguous: no two contents share it. Only the files that
are used take part, so that a model card or a tokenizer beside them changes nothing.
"""

import hashlib
import re
from collections.abc import Mapping

from adaptermux_server.adapters.adapter_config import CONFIG_FILE
from adaptermux_server.adapters.model_config import MODEL_CONFIG_FILE
from adaptermux_server.adapters.safetensors_header import WEIGHTS_FILE
from adaptermux_server.errors import InvalidRequestError

REQUIRED_FILES = frozenset({CONFIG_FILE, WEIGHTS_FILE})
CONTENT_FILES = tuple(sorted({*REQUIRED_FILES, MODEL_CONFIG_FILE}))
"""All that a content may have, in their order."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class CanonicalHash:
    """The digest of a content that comes piece by piece; each file is announced before its bytes."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def begin_file(self, name: str, num_bytes: int) -> None:
        """Announce the next file, in the order of names."""
        encoded = name.encode()
        self._sha256.update(b"%d:%s%d:" % (len(encoded), encoded, num_bytes))

    def update(self, part: bytes | memoryview) -> None:
        """Add the next bytes of the file."""
        self._sha256.update(part)

    def hexdigest(self) -> str:
        """The digest of what came so far: 64 lower-case hex digits."""
        return self._sha256.hexdigest()


def digest_of(contents: Mapping[str, bytes]) -> str:
    """The digest of files in memory, by name."""
    digest = CanonicalHash()
    for name, content in sorted(contents.items()):
        digest.begin_file(name, len(content))
        digest.update(content)
    return digest.hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` has the form of a digest."""
    return _DIGEST.fullmatch(text) is not None


def check_digest(value: str, field: str) -> str:
    """Return `value` if it has the form of a digest. Raises InvalidRequestError for `field`."""
    if not is_digest(value):
        raise InvalidRequestError((field, "isn't a revision: 64 lower-case hex digits"))
    return value
