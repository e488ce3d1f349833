"""Waiting for a sender: never for long at a time, nor for long on the whole where little comes."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from adaptermux_server.errors import UploadStalledError

MIN_BYTES_PER_SECOND = 10 << 10
"""What a sender must keep up on the whole; a fair part of the slowest links in use."""
_Message = TypeVar("_Message")


class Patience:
    """Bounds the time in which one sender is waited for; whoever waits may be stopped from outside.

    Each wait takes `stall_seconds` at most. All of them together take `stall_seconds` and the time in which the slowest
    sender would have sent what came: single bytes just in time are no way around it, and an upload of n bytes ends
    within n / MIN_BYTES_PER_SECOND + `stall_seconds`, not counting the server's own work.
    """

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._waited_seconds = 0.0
        self._num_bytes = 0
        self._stopped: BaseException | None = None
        self._wait: asyncio.Timeout | None = None

    def count(self, num_bytes: int) -> None:
        """Note what came."""
        self._num_bytes += num_bytes

    async def next(self, messages: AsyncIterator[_Message]) -> _Message | None:
        """Wait for the next message; None: there is none. Raises UploadStalledError, or what `stop` was given."""
        self.check()
        surplus_seconds = self._num_bytes / MIN_BYTES_PER_SECOND - self._waited_seconds
        now = asyncio.get_running_loop().time
        started = now()
        try:
            async with asyncio.timeout(self._stall_seconds + min(surplus_seconds, 0)) as self._wait:
                return await anext(messages, None)
        except TimeoutError:
            self.check()
            raise UploadStalledError(self._problem(surplus_seconds)) from None
        finally:
            self._wait = None
            self._waited_seconds += now() - started

    def stop(self, error: BaseException) -> None:
        """End the wait, and every later one, with an error. (The first one counts.)"""
        self._stopped = self._stopped or error
        if self._wait is not None and not self._wait.expired():
            self._wait.reschedule(asyncio.get_running_loop().time())

    def check(self) -> None:
        """Raise what `stop` was given."""
        if self._stopped is not None:
            raise self._stopped

    def _problem(self, surplus_seconds: float) -> str:
        if surplus_seconds < 0:
            return f"the upload came too slowly, with less than {MIN_BYTES_PER_SECOND} bytes per second"
        return f"no message of the upload came for {self._stall_seconds:g} s"
