"""Changes under way, as tasks that outlive the calls that asked for them."""

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from typing import Any, TypeVar

from adaptermux_server.errors import AdapterMuxError, ShuttingDownError

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Tasks:
    """Runs changes to their ends, and logs those that fail."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def check_open(self) -> None:
        """Raise ShuttingDownError after `close`."""
        if self._closed:
            raise ShuttingDownError

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Carry out a change, which goes on if the caller is cancelled. Raises ShuttingDownError if `close` ends it."""
        return await self.outcome(self.spawn(work))

    async def outcome(self, task: "asyncio.Task[_Result]") -> _Result:
        """Wait for a change, as `run` does."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and caller is not None and not caller.cancelling():
                raise ShuttingDownError from None
            raise

    def spawn(self, work: Coroutine[Any, Any, _Result]) -> "asyncio.Task[_Result]":
        """Begin a change; `outcome` waits for it."""
        task = asyncio.create_task(_without_frames(work))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def wait(self) -> None:
        """Return once nothing is under way."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        self._closed = True
        # What was spawned just now gets its first step: cancelled before that, it could undo nothing at its end.
        await asyncio.sleep(0)
        while tasks := tuple(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        # Whoever waits for the task gets its error too; asking for it marks it as seen where nobody does.
        error = task.exception()
        if isinstance(error, AdapterMuxError):
            _log.info("a change of adapters failed: %s", error)
        elif error is not None:
            _log.error("a change of adapters failed unexpectedly", exc_info=error)


async def _without_frames(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Carry out a change. The registry keeps its error: the frames of that would keep the checkpoint's tensors."""
    try:
        return await work
    except BaseException as error:
        # At once: others who get the same error, and aren't at their end, add frames of their own to it.
        found: BaseException | None = error
        while found is not None:
            traceback.clear_frames(found.__traceback__)
            found = found.__cause__ or found.__context__
        raise
