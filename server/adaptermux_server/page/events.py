"""The last forwards as Server-Sent Events.

Forwards are put into frames once, whoever listens, and only while somebody does. A listener is a place in a short log
of frames, so one that doesn't read costs no memory and misses what the log has forgotten. Owned by the event loop.
Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

from aiohttp import web

from adaptermux_server.news import News
from adaptermux_server.scheduler.recorder import BatchRecorder, Recorded
from adaptermux_server.types import BatchRecord

MAX_LISTENERS = 16
_FRAME_SECONDS = 0.1
_NUM_FRAMES = 32
_SILENCE_SECONDS = 5.0
_STALLED_SECONDS = 10.0
_SIGN_OF_LIFE = b": alive\n\n"


class EventLog:
    """Frames of forwards, at most ten a second."""

    def __init__(self, recorder: BatchRecorder) -> None:
        self._recorder = recorder
        self._frames: deque[bytes] = deque(maxlen=_NUM_FRAMES)
        self._num_frames = 0
        self._num_forwards = 0
        self._num_listeners = 0
        self._filling: asyncio.Task[None] | None = None
        self._news = News()
        self._closed = False

    @property
    def is_full(self) -> bool:
        """Whether no more listeners are taken."""
        return self._num_listeners >= MAX_LISTENERS

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count a listener; frames are made while there is one."""
        self._num_listeners += 1
        if self._filling is None and not self._closed:
            self._filling = asyncio.create_task(self._fill())
        try:
            yield
        finally:
            self._num_listeners -= 1
            if self._num_listeners == 0 and self._filling is not None:
                self._filling.cancel()
                self._filling = None

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Yield what comes from now on, and a sign of life after a silence; ends with the server."""
        seen = self._num_frames
        while not self._closed:
            if seen == self._num_frames:
                changed = await self._changes_within(_SILENCE_SECONDS)
                if not changed:
                    yield _SIGN_OF_LIFE
                continue
            kept = tuple(self._frames)[seen - self._num_frames :]
            seen = self._num_frames
            yield b"".join(kept)

    async def close(self) -> None:
        """End all streams."""
        self._end()
        if self._filling is not None:
            self._filling.cancel()
            with suppress(asyncio.CancelledError):
                await self._filling

    async def _fill(self) -> None:
        async with aclosing(self._recorder.watch()) as watched:
            async for recorded in watched:
                self._append(recorded)
                await asyncio.sleep(_FRAME_SECONDS)
        # The recorder is closed: the server is stopping.
        self._end()

    def _append(self, recorded: Recorded) -> None:
        self._num_forwards += recorded.num_missed
        self._frames.append(frame(recorded, self._num_forwards))
        self._num_forwards += len(recorded.batches)
        self._num_frames += 1
        self._news.tell()

    def _end(self) -> None:
        self._closed = True
        self._news.tell()

    async def _changes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
                return True
        except TimeoutError:
            return False


class EventsHandler:
    """`GET /api/events`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Send frames until the listener or the server goes."""
        if self._log.is_full:
            text = f"{MAX_LISTENERS} pages are watching already: close one\n"
            return web.Response(status=503, text=text, headers={"Retry-After": "5"})
        with self._log.listening():
            return await self._send(request)

    async def _send(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            await response.prepare(request)
            await response.write(_SIGN_OF_LIFE)
            async with aclosing(self._log.frames()) as frames:
                async for each in frames:
                    async with asyncio.timeout(_STALLED_SECONDS):
                        await response.write(each)
        except TimeoutError:
            # It holds a place that another could have.
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass
        return response


def frame(recorded: Recorded, num_before: int) -> bytes:
    """One event. `num_before`: forwards before these, so that a listener sees how many it missed."""
    # Records are on the monotonic clock; what is added to it moves when the machine's clock is set.
    now = time.time()
    epoch = now - time.monotonic()
    data = {"now": now, "num_before": num_before, "forwards": [_forward(each, epoch) for each in recorded.batches]}
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _forward(batch: BatchRecord, epoch: float) -> dict[str, Any]:
    """What is told of a forward: neither inputs nor who asked."""
    return {
        "start": round(batch.started_at + epoch, 5),
        "traversal": round(batch.traversal_seconds, 6),
        "compute": round(batch.compute_seconds, 6),
        "kernel": batch.kernel.value if batch.kernel else None,
        "tokens": batch.num_tokens,
        "padded_tokens": batch.num_padded_tokens,
        "adapters": Counter(row.adapter for row in batch.rows).most_common(),
        "waits": [round(row.queue_seconds, 5) for row in batch.rows],
    }
