"""Contents that clients send: received in bounded number, memory and time, and checked before they may stay."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.patience import Patience
from adaptermux_server.adapters.store.incoming import AnnouncedFile, Incoming, StoredContent, check_files
from adaptermux_server.errors import ShuttingDownError, UploadsFullError
from adaptermux_server.metrics import ChangeMetrics, UploadOutcome

# A thread is asked to write no less than this: for small chunks it would cost more than the writing.
_WRITE_BYTES = 1 << 20
_RETRY_SECONDS = 5.0
_Message = TypeVar("_Message")


class Uploads:
    """Takes contents into the catalog. Owned by the event loop.

    An upload is a task of its own that nobody cancels: it is told to end where it waits for its sender, and a call of
    the store is always awaited to its end. So nothing writes on when its caller is gone, and nothing is left over.
    """

    def __init__(
        self,
        catalog: Catalog,
        limits: CheckpointLimits = DEFAULT_LIMITS,
        *,
        metrics: ChangeMetrics | None = None,
        max_uploads: int = 8,
        stall_seconds: float = 30.0,
    ) -> None:
        """Args:
        limits: those of the catalog's store.
        metrics: are told of each upload; None: nobody reads them.
        max_uploads: how many may send at once.
        stall_seconds: see `Patience`.
        """
        self._catalog, self._limits = catalog, limits
        self._metrics = metrics or ChangeMetrics()
        self._max_uploads, self._stall_seconds = max_uploads, stall_seconds
        self._num_sending = 0
        self._waits: set[Patience] = set()
        self._tasks: set[asyncio.Task[StoredContent]] = set()
        self._closed = False
        # A content is seen by others from its commit on, and found to be good or bad after it: this makes it one step.
        # It also bounds memory: a check reads the whole content.
        self._committing = asyncio.Lock()

    async def first(self, messages: AsyncIterator[_Message]) -> _Message | None:
        """Wait for the message that comes before the chunks; None: there is none.

        Raises UploadStalledError or ShuttingDownError.
        """
        with self._patience() as patience:
            return await patience.next(messages)

    async def receive(
        self, files: Sequence[AnnouncedFile], digest: str | None, chunks: AsyncIterator[bytes]
    ) -> StoredContent:
        """Take a content in and return once it is on the disk and checked. No chunk is read if it is there already.

        Until all of it came, an upload that is cancelled leaves nothing behind; later it is finished all the same.

        Args:
            files: their names and lengths in bytes, in the order of names.
            digest: what the content must have; None: any.
            chunks: the bytes of all files one after the other, however they are cut. Not read in advance.

        Raises:
            SourceInvalidError: `files` or `chunks` aren't those of an adapter, or don't fit each other.
            ConfigUnsupportedError, CheckpointMismatchError: as `read_checkpoint` does.
            DigestMismatchError: the content isn't the one of `digest`.
            UploadsFullError, UploadStalledError, ShuttingDownError, StoreFullError, StoreUnavailableError.
        """
        with self._patience() as patience:
            task = asyncio.create_task(self._run(files, digest, chunks, patience))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
            return await _outcome(task, patience)

    def _ended(self, task: "asyncio.Task[StoredContent]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._metrics.upload_ended(UploadOutcome.FAILED)
        elif task.result().already_stored:
            self._metrics.upload_ended(UploadOutcome.KNOWN)
        else:
            self._metrics.upload_ended(UploadOutcome.STORED, task.result().num_bytes)

    async def close(self) -> None:
        """Take no more uploads, end those that wait for their senders, and wait until none is under way."""
        self._closed = True
        for patience in self._waits:
            patience.stop(ShuttingDownError())
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    @contextmanager
    def _patience(self) -> Iterator[Patience]:
        if self._closed:
            raise ShuttingDownError
        patience = Patience(self._stall_seconds)
        self._waits.add(patience)
        try:
            yield patience
        finally:
            self._waits.discard(patience)

    async def _run(
        self, files: Sequence[AnnouncedFile], digest: str | None, chunks: AsyncIterator[bytes], patience: Patience
    ) -> StoredContent:
        check_files(files, self._limits)
        if digest is not None and (stored := await self._find(digest)) is not None:
            return stored
        with self._place():
            incoming = await self._catalog.begin(files, digest)
            try:
                await self._fill(incoming, chunks, patience)
                async with self._committing:
                    patience.check()
                    return await self._commit(incoming)
            finally:
                await self._catalog.call(incoming.abort)

    async def _find(self, digest: str) -> StoredContent | None:
        if not self._catalog.has(digest):
            return None
        # One that is being checked may turn out to be garbage, and go again.
        async with self._committing:
            return await self._catalog.renew(digest)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._num_sending >= self._max_uploads:
            raise UploadsFullError(self._max_uploads, _RETRY_SECONDS)
        self._num_sending += 1
        try:
            yield
        finally:
            self._num_sending -= 1

    async def _fill(self, incoming: Incoming, chunks: AsyncIterator[bytes], patience: Patience) -> None:
        gathered = bytearray()
        while (chunk := await patience.next(chunks)) is not None:
            patience.count(len(chunk))
            gathered += chunk
            if len(gathered) >= _WRITE_BYTES:
                await self._catalog.call(incoming.write, bytes(gathered))
                gathered.clear()
        await self._catalog.call(incoming.write, bytes(gathered))

    async def _commit(self, incoming: Incoming) -> StoredContent:
        stored = await self._catalog.call(incoming.commit)
        if not stored.already_stored:
            try:
                with self._catalog.keeping(stored.digest):
                    await asyncio.to_thread(read_checkpoint, self._catalog.folder(stored.digest), self._limits)
            except BaseException:
                await self._catalog.collect([stored.digest])
                raise
        return stored


async def _outcome(task: "asyncio.Task[StoredContent]", patience: Patience) -> StoredContent:
    """Await an upload to its end, also if cancelled: then it is told to end, and the cancellation goes on after it."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            patience.stop(asyncio.CancelledError())
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen: nobody else will ask for it
        raise cancelled
    return task.result()
