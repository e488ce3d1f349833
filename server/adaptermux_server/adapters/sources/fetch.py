"""Bringing the files of an adapter here, as one coroutine on fsspec's own event loop."""

import asyncio
import errno
import functools
import logging
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from fsspec.asyn import get_loop
from fsspec.callbacks import Callback

from adaptermux_server.adapters.canonical import CONTENT_FILES, REQUIRED_FILES
from adaptermux_server.adapters.limits import CheckpointLimits
from adaptermux_server.adapters.sources.guards import RefusedError
from adaptermux_server.adapters.sources.place import Place
from adaptermux_server.adapters.sources.schemes import SCHEMES, connect, open_session
from adaptermux_server.errors import (
    AdapterMuxError,
    ShuttingDownError,
    SourceInvalidError,
    SourceUnavailableError,
    StoreFullError,
)

# Whatever tells two contents of one name apart: what s3fs, gcsfs, huggingface_hub and fsspec itself call it.
_VERSION_FIELDS = ("size", "ETag", "LastModified", "VersionId", "etag", "generation", "blob_id", "xet_hash", "created")
# Beyond the time limit: for a cancelled coroutine to end. One that doesn't is left to itself.
_GRACE_SECONDS = 5.0
_NO_PERMISSION = (
    "the server isn't allowed to read {}: an operator must give its credentials that right (S3 answers so for missing"
    " files too where they lack s3:ListBucket)"
)
_log = logging.getLogger(__name__)


class Fetches:
    """Fetches under way, in any thread, so that all can be ended at once."""

    def __init__(self) -> None:
        self._futures: set[Future[None]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End all, now and later: they raise ShuttingDownError."""
        with self._lock:
            self._closed = True
            futures = tuple(self._futures)
        for future in futures:
            future.cancel()

    @contextmanager
    def running(self, work: Coroutine[Any, Any, None]) -> Iterator[Future[None]]:
        """Run a fetch on fsspec's loop; it ends with the context at the latest."""
        with self._lock:
            if self._closed:
                work.close()
                raise ShuttingDownError
            future = asyncio.run_coroutine_threadsafe(work, get_loop())
            self._futures.add(future)
        try:
            yield future
        except CancelledError:
            raise ShuttingDownError from None
        finally:
            future.cancel()
            with self._lock:
                self._futures.discard(future)


def fetch(fetches: Fetches, place: Place, folder: Path, limits: CheckpointLimits, seconds: float) -> None:
    """Write the files of the adapter at `place` into `folder`. Blocks for `seconds` at most, and a short grace.

    Raises:
        SourceInvalidError: a file is missing, too large, not to be read, or changed while it was fetched.
        SourceUnavailableError: the place can't be reached, or not in time; a retry may help.
        StoreFullError: the disk has no room.
        ShuttingDownError: all fetches were ended.
    """
    with fetches.running(_Transfer(place, folder, limits, seconds).run()) as future:
        try:
            future.result(seconds + _GRACE_SECONDS)
        except TimeoutError as error:
            _log.warning("%s wasn't fetched within %g s", place, seconds)
            raise SourceUnavailableError(f"{place} wasn't fetched within {seconds:g} s") from error


class _Transfer:
    """One fetch of one adapter, with a filesystem of its own."""

    def __init__(self, place: Place, folder: Path, limits: CheckpointLimits, seconds: float) -> None:
        self._place = place
        self._scheme = SCHEMES[place.scheme]
        self._folder = folder
        self._limits = limits
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._files: Any = None

    async def run(self) -> None:
        """Raises TimeoutError at the end of the time, and else what `fetch` does."""
        async with asyncio.timeout(self._seconds), AsyncExitStack() as stack:
            with self._failures():
                self._files = await asyncio.to_thread(connect, self._place.scheme)
                if session := await open_session(self._files):
                    stack.push_async_callback(session.close)
            versions = {name: await self._version(name) for name in CONTENT_FILES}
            for name, version in versions.items():
                if version is not None:
                    await self._fetch_file(name, version)
            # All were there at once only if nothing changed from the first look to the last: else the configuration
            # of one upload might stand beside the weights of the next.
            self._files.invalidate_cache()
            for name, version in versions.items():
                if await self._version(name) != version:
                    raise _changed(name)

    async def _fetch_file(self, name: str, version: Mapping[str, object]) -> None:
        target = self._folder / name
        options = {"callback": Callback(hooks={"limit": functools.partial(self._check_progress, name)})}
        with self._failures(name):
            try:
                await self._call(
                    "get_file", self._place.file_url(name), str(target), **options, **self._scheme.transfer
                )
            except FileNotFoundError:
                _check_may_miss(name)
                return
            if version and target.stat().st_size != version["size"]:
                raise _changed(name)

    async def _version(self, name: str) -> Mapping[str, object] | None:
        """What tells a content of the file from any other; None: it isn't there.

        Empty for HTTP: there each file is one response, and whether it is there is seen then.
        """
        if self._place.is_http:
            return {}
        with self._failures(name):
            try:
                info = await self._call("info", self._place.file_url(name))
            except FileNotFoundError:
                info = {"type": "nothing"}
        if info["type"] != "file":
            _check_may_miss(name)
            return None
        self._check_progress(name, info["size"], 0)
        return {field: info.get(field) for field in _VERSION_FIELDS}

    async def _call(self, method: str, *args: object, **options: object) -> Any:
        if self._files.async_impl:
            return await getattr(self._files, f"_{method}")(*args, **options)
        return await asyncio.to_thread(self._call_blocking, method, *args, **options)

    def _call_blocking(self, method: str, *args: object, **options: object) -> Any:
        with self._scheme.lock:
            return getattr(self._files, method)(*args, **options)

    def _check_progress(self, name: str, size: int | None, done: int, **_: object) -> None:
        """Called with the announced size and after each piece: whatever was announced, `done` is what came."""
        limit = self._limits.of_file(name)
        if max(size or 0, done) > limit:
            raise SourceInvalidError(f"{name} has more than the {limit} bytes that are allowed", file=name)
        # A thread can't be cancelled as a coroutine can; one that outlived the fetch ends here.
        if time.monotonic() > self._deadline:
            raise TimeoutError

    @contextmanager
    def _failures(self, name: str = "") -> Iterator[None]:
        """Tell clients what they can act on; the libraries' own words, which may hold anything, go to the log."""
        where = f"{str(self._place).removesuffix('/')}/{name}"
        try:
            yield
        except AdapterMuxError:
            raise
        except RefusedError as error:
            raise SourceInvalidError(f"{where} {error}", file=name) from error
        except PermissionError as error:
            _log.warning("may not read %s", where, exc_info=error)
            raise SourceInvalidError(_NO_PERMISSION.format(where), file=name) from error
        except Exception as error:  # what a dozen libraries may raise has no other common base
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFullError from error
            _log.warning("can't fetch %s", where, exc_info=error)
            raise SourceUnavailableError(f"{where} can't be fetched now") from error


def _check_may_miss(name: str) -> None:
    if name in REQUIRED_FILES:
        raise SourceInvalidError(f"{name} is missing: save the adapter with save_pretrained", file=name)


def _changed(name: str) -> SourceInvalidError:
    return SourceInvalidError(f"{name} changed while it was fetched: load it again", file=name)
