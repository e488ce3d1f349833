"""The contents of adapters, by digest: each is there as a whole or not at all, whenever the process dies.

    content/<first 2 digits>/<digest>/   adapter_config.json, adapter_model.safetensors, perhaps config.json
    incoming/<random>/                   contents that come or go; emptied when the store is opened

A content is written in `incoming`, synced, and moved to its place by one rename. Then the database notes it; what isn't
noted at the next opening is read anew before it counts.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from adaptermux_server.adapters.canonical import CONTENT_FILES, check_digest
from adaptermux_server.adapters.folder import AdapterFolder
from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.store.database import Database
from adaptermux_server.adapters.store.failures import storage_failures
from adaptermux_server.adapters.store.files import discard, make_folder, move_folder
from adaptermux_server.adapters.store.incoming import AnnouncedFile, Incoming, StoredContent, check_files
from adaptermux_server.adapters.store.scan import (
    DamagedContentError,
    check_digest_of,
    digests_in,
    num_bytes_in,
    place_of,
)
from adaptermux_server.adapters.store.stored import StoredRevision
from adaptermux_server.errors import RevisionNotFoundError
from adaptermux_server.failpoints import reach

_CHUNK_BYTES = 1 << 20
_log = logging.getLogger(__name__)


class ContentStore:
    """Adds, finds and removes contents. Any thread may use it. No other process may: the caller holds the lock.

    Every change raises StoreFullError or StoreUnavailableError where the disk fails, and has then changed nothing.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        limits: CheckpointLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open what lies in `root`, which exists. `clock`: seconds since the epoch."""
        self._content, self._incoming = root / "content", root / "incoming"
        self._database = database
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._num_bytes: dict[str, int] = {}
        """By digest: of the contents that can be used."""
        self._corrupt: dict[str, str] = {}
        with storage_failures():
            make_folder(self._content)
            make_folder(self._incoming)
            for leftover in self._incoming.iterdir():
                discard(leftover)
            self._scan()

    @property
    def workspace(self) -> Path:
        """A folder for what is on its way; it is emptied at each opening."""
        return self._incoming

    @property
    def corrupt(self) -> Mapping[str, str]:
        """Contents that are damaged or gone, by digest, and what is wrong with them. Adding one again mends it."""
        return dict(self._corrupt)

    @property
    def num_bytes(self) -> int:
        """Of all contents."""
        return sum(self._num_bytes.values())

    def list(self) -> Sequence[str]:
        """The digests of all contents, sorted."""
        return sorted(self._num_bytes)

    def has(self, digest: str) -> bool:
        """Whether a content is there."""
        return digest in self._num_bytes

    def path(self, digest: str) -> Path:
        """The folder of a content, to be read only. Raises RevisionNotFoundError."""
        if digest not in self._num_bytes:
            raise RevisionNotFoundError(digest)
        return place_of(self._content, digest)

    def renew(self, digest: str) -> StoredContent | None:
        """Begin the age of a content anew; None: it isn't there."""
        with self._lock, storage_failures():
            num_bytes = self._num_bytes.get(digest)
            if num_bytes is None:
                return None
            self._note(digest, num_bytes)
            return StoredContent(digest, num_bytes, already_stored=True)

    def begin(self, files: Sequence[AnnouncedFile], digest: str | None = None) -> Incoming:
        """Begin to add a content that comes in pieces.

        What is there already may be added again: nothing is written, and its age begins anew.

        Args:
            files: their names and lengths in bytes, in the order of names.
            digest: what the content must have; None: any.

        Raises SourceInvalidError for `files`, InvalidRequestError for `digest`.
        """
        check_files(files, self._limits)
        if digest is not None:
            check_digest(digest, "digest")
        folder = self._new_folder()
        return Incoming(folder, files, digest, lambda found, num_bytes: self._publish(folder, found, num_bytes))

    def add_folder(self, path: Path, digest: str | None = None) -> StoredContent:
        """Add what an adapter's folder holds. `digest`: what it must have; None: any.

        Raises SourceInvalidError as `AdapterFolder` does, DigestMismatchError.
        """
        with AdapterFolder(path) as folder, ExitStack() as stack:
            files = [
                stack.enter_context(folder.open(name, self._limits.of_file(name)))
                for name in CONTENT_FILES
                if name in folder.names
            ]
            incoming = stack.enter_context(self.begin([(file.name, file.num_bytes) for file in files], digest))
            for file in files:
                for begin in range(0, file.num_bytes, _CHUNK_BYTES):
                    incoming.write(file.read(min(_CHUNK_BYTES, file.num_bytes - begin)))
            return incoming.commit()

    def remove(self, digest: str, is_kept: Callable[[str], bool] = lambda _: False) -> bool:
        """Remove a content, if it is there; returns False, and keeps it, where an adapter has or had it.

        `is_kept`: whether somebody is about to use it. Asked while nothing is added: what is added afterwards stays.
        """
        with self._lock, storage_failures():
            if is_kept(digest) or not self._database.delete_revision(digest):
                return False
            reach("store.removing")
            try:
                self._clear(place_of(self._content, digest))
            except BaseException:
                if digest in self._num_bytes:
                    self._note(digest, self._num_bytes[digest])
                raise
            self._num_bytes.pop(digest, None)
            self._corrupt.pop(digest, None)
            return True

    def verify(self, digest: str) -> bool:
        """Read a content anew; where it has changed, it becomes a corrupt one. Raises RevisionNotFoundError."""
        with self._lock:
            try:
                check_digest_of(self.path(digest))
            except DamagedContentError as error:
                del self._num_bytes[digest]
                self._note_corrupt(digest, str(error))
                return False
            return True

    def _publish(self, folder: Path, digest: str, num_bytes: int) -> bool:
        """Move a complete folder to its place; returns whether the content was there before."""
        with self._lock:
            if digest in self._num_bytes:
                self._note(digest, num_bytes)
                return True
            place = place_of(self._content, digest)
            make_folder(place.parent)
            # What is damaged, or a content whose removal was cut short.
            self._clear(place)
            reach("store.cleared")
            move_folder(folder, place)
            try:
                self._note(digest, num_bytes)
            except BaseException:
                place.rename(folder)
                raise
            self._num_bytes[digest] = num_bytes
            self._corrupt.pop(digest, None)
            return False

    def _clear(self, place: Path) -> None:
        gone = self._new_folder()
        with suppress(FileNotFoundError):
            move_folder(place, gone)
            reach("store.removed")
            discard(gone)

    def _note(self, digest: str, num_bytes: int) -> None:
        self._database.add_revision(StoredRevision(digest, num_bytes, self._clock()))

    def _new_folder(self) -> Path:
        return self._incoming / secrets.token_hex(16)

    def _scan(self) -> None:
        noted = {revision.digest: revision.num_bytes for revision in self._database.revisions()}
        for digest in digests_in(self._content):
            try:
                self._num_bytes[digest] = self._checked(digest, noted.pop(digest, None))
            except DamagedContentError as error:
                self._note_corrupt(digest, str(error))
        for digest in noted:
            self._note_corrupt(digest, "is missing")

    def _checked(self, digest: str, noted_bytes: int | None) -> int:
        """The length of a content on the disk. Raises DamagedContentError."""
        place = place_of(self._content, digest)
        num_bytes = num_bytes_in(place)
        if noted_bytes is None:
            check_digest_of(place)
            self._note(digest, num_bytes)
            _log.info("content %s wasn't noted in the database and is kept", digest)
        elif num_bytes != noted_bytes:
            raise DamagedContentError(f"has {num_bytes} bytes, {noted_bytes} were stored")
        return num_bytes

    def _note_corrupt(self, digest: str, problem: str) -> None:
        self._corrupt[digest] = problem
        _log.error("content %s is damaged and isn't used: %s", digest, problem)
