"""The store as the event loop sees it: each call runs beside the loop, in one of a few threads that end with it.

A call that is begun is carried out, also if whoever awaits it is cancelled. What the store raises passes through.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from adaptermux_server.adapters.store.incoming import AnnouncedFile, Incoming, StoredContent
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredServing
from adaptermux_server.errors import (
    CheckpointMismatchError,
    ConfigUnsupportedError,
    DigestMismatchError,
    RevisionNotFoundError,
    SourceInvalidError,
    StoreFullError,
)

_NUM_THREADS = 4
_SIGNS_OF_DAMAGE = (SourceInvalidError, ConfigUnsupportedError, CheckpointMismatchError, DigestMismatchError)
_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


class Catalog:
    """Contents, adapters and aliases that survive a restart. Owned by the event loop, and closed with its store."""

    def __init__(self, store: Store) -> None:
        """`store`: open, and from now on this one's to use and to close."""
        self._store = store
        self._threads = ThreadPoolExecutor(_NUM_THREADS, "store")
        self._kept: Counter[str] = Counter()
        self.order = asyncio.Lock()
        """Hold it from a change of the store until it shows, where others must not come between: an alias may name a
        revision only as long as it is kept, and what aliases name is kept."""

    @property
    def num_bytes(self) -> int:
        """Of all contents."""
        return self._store.content.num_bytes

    @property
    def workspace(self) -> Path:
        """A folder for what is on its way; what lies in it is removed when the store is opened."""
        return self._store.content.workspace

    def has(self, digest: str) -> bool:
        """Whether a content is there and whole."""
        return self._store.content.has(digest)

    def folder(self, digest: str) -> Path:
        """The folder of a content, to be read only. Raises RevisionNotFoundError."""
        return self._store.content.path(digest)

    @contextmanager
    def keeping(self, digest: str) -> Iterator[None]:
        """Hold a content that nothing is registered for yet: it isn't collected until the context ends."""
        self._kept[digest] += 1
        try:
            yield
        finally:
            self._kept[digest] -= 1
            self._kept += Counter()

    @asynccontextmanager
    async def opened(self, digest: str) -> AsyncIterator[Path]:
        """The folder of a content, to be read only, and there until the context ends.

        Raises RevisionNotFoundError, also where the context finds something wrong with the content and it turns out to
        be damaged: from then on it isn't there, until it is added again.
        """
        with self.keeping(digest):
            try:
                yield self.folder(digest)
            except _SIGNS_OF_DAMAGE as error:
                if await self.call(self._is_sound, digest):
                    raise
                raise RevisionNotFoundError(digest) from error

    async def add_folder(self, folder: Path, digest: str) -> StoredContent:
        """Copy a content into the store. Raises SourceInvalidError or DigestMismatchError where it has changed."""
        if self.has(digest) and folder == self.folder(digest):
            return StoredContent(digest, 0, already_stored=True)
        return await self.call(self._store.content.add_folder, folder, digest)

    async def renew(self, digest: str) -> StoredContent | None:
        """Keep a content as long as if it were added now; None: it isn't there."""
        return await self.call(self._store.content.renew, digest)

    async def begin(self, files: Sequence[AnnouncedFile], digest: str | None) -> Incoming:
        """Begin to add a content that comes in pieces; each of its calls blocks, so make them by `call`."""
        return await self.call(self._store.content.begin, files, digest)

    async def collect(self, digests: Sequence[str]) -> None:
        """Remove those of these contents that no adapter has or had and nobody keeps."""
        for digest in digests:
            await self._freeing(self._store.content.remove, digest, self._is_kept)

    async def collect_older(self, added_before: float) -> int:
        """Remove all such contents that were added before a time; returns how many there were."""
        unused = await self.call(self._store.database.unused_revisions)
        old = [revision.digest for revision in unused if revision.added_at < added_before]
        await self.collect(old)
        return len(old)

    async def adapters(self) -> Sequence[tuple[StoredAdapter, Sequence[StoredServing]]]:
        """All adapters, by id, each with what served before it."""
        return await self.call(self._read_adapters)

    async def put_adapter(self, adapter: StoredAdapter) -> Sequence[StoredServing]:
        """Register an adapter, durably; returns what served before. Raises RevisionNotFoundError."""
        return await self.call(self._store.database.put_adapter, adapter)

    async def delete_adapter(self, adapter_id: str) -> Sequence[str]:
        """Forget an adapter and what served before it, durably; returns the digests of their contents, which stay."""
        return await self._freeing(self._store.database.delete_adapter, adapter_id)

    async def aliases(self) -> Sequence[StoredAlias]:
        """All aliases, by name."""
        return await self.call(self._store.database.aliases)

    async def put_alias(self, alias: StoredAlias) -> None:
        """Make or move an alias, durably."""
        await self.call(self._store.database.put_alias, alias)

    async def delete_alias(self, name: str) -> None:
        """Forget an alias, durably."""
        await self._freeing(self._store.database.delete_alias, name)

    async def call(self, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        """Run something that blocks on the store in one of its threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _freeing(self, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        """Run something that gives room back: on a full disk it gets the room that is kept for it."""
        try:
            return await self.call(function, *args)
        except StoreFullError:
            await self.call(self._store.reserve.give_up)
        try:
            return await self.call(function, *args)
        finally:
            await self.call(self._store.reserve.keep)

    def close(self) -> None:
        """Finish the calls under way and close the store. Blocks until then."""
        self._threads.shutdown()
        self._store.close()

    def _is_kept(self, digest: str) -> bool:
        return self._kept.get(digest, 0) > 0

    def _is_sound(self, digest: str) -> bool:
        return self.has(digest) and self._store.content.verify(digest)

    def _read_adapters(self) -> Sequence[tuple[StoredAdapter, Sequence[StoredServing]]]:
        database = self._store.database
        return [(adapter, database.earlier_revisions(adapter.id)) for adapter in database.adapters()]
