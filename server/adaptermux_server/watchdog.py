"""Notices an engine that hangs: one command that doesn't end, behind which all requests wait until their deadlines."""

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable

import structlog

from adaptermux_server.engine.engine import EngineCommand

_MAX_PERIOD_SECONDS = 1.0
_PERIODS_PER_STALL = 4
"""A stall is noticed a quarter later than it may be called one, at most."""

_log = structlog.get_logger(__name__)


class Watchdog:
    """Looks at the engine's command under way, again and again, from the event loop.

    It can't notice that the event loop itself hangs: health checks then get no answer at all.
    """

    def __init__(
        self,
        command: Callable[[], EngineCommand | None],
        stall_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`command`: the one under way, None while the engine is idle; `clock`: the one that it started by."""
        self._command, self._stall_seconds, self._clock = command, stall_seconds, clock
        self._task: asyncio.Task[None] | None = None

    @property
    def stalled(self) -> bool:
        """Whether the command under way has run for longer than it may. May be read from any thread."""
        command = self._command()
        return command is not None and self._ran_too_long(command)

    def start(self, tell: Callable[[bool], Awaitable[None]]) -> None:
        """Watch from now on; `tell` hears of each change."""
        self._task = asyncio.create_task(self._watch(tell), name="watchdog")

    async def close(self) -> None:
        """Watch no more; repeatable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _watch(self, tell: Callable[[bool], Awaitable[None]]) -> None:
        stalled: EngineCommand | None = None
        while True:
            command = self._command()
            if stalled is not None and command is not stalled:
                _log.warning("the engine moves again", command=stalled.name, seconds=self._seconds(stalled))
                stalled = None
                await tell(False)
            if stalled is None and command is not None and self._ran_too_long(command):
                stalled = command
                _log.error(
                    "the engine is stalled", command=command.name, seconds=self._seconds(command), stack=_stack(command)
                )
                await tell(True)
            await asyncio.sleep(min(_MAX_PERIOD_SECONDS, self._stall_seconds / _PERIODS_PER_STALL))

    def _ran_too_long(self, command: EngineCommand) -> bool:
        return self._clock() - command.started_at > self._stall_seconds

    def _seconds(self, command: EngineCommand) -> float:
        return round(self._clock() - command.started_at, 1)


def _stack(command: EngineCommand) -> str:
    """Where the engine's thread is: for the log alone."""
    frame = sys._current_frames().get(command.thread_id)
    return "".join(traceback.format_stack(frame)) if frame else ""
