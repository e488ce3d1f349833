"""How long senders are waited for. Time jumps: no test waits."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

import pytest

from adaptermux_server.adapters.patience import MIN_BYTES_PER_SECOND, Patience
from adaptermux_server.errors import ShuttingDownError, UploadStalledError

_STALL_SECONDS = 30.0


class JumpingLoop(asyncio.SelectorEventLoop):
    """Where nothing is to be done before a time, it is that time."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        times = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if times and not self._ready:  # type: ignore[attr-defined]
            self.now = max(self.now, min(times))
        super()._run_once()  # type: ignore[misc]


def run(work: Coroutine[Any, Any, None]) -> float:
    """Run a test; returns how many seconds it took in the loop's time."""
    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)
    return loop.now


async def sent(messages: Iterable[tuple[float, int]]) -> AsyncIterator[bytes]:
    """Messages of these lengths, each after so many seconds."""
    for seconds, num_bytes in messages:
        await asyncio.sleep(seconds)
        yield bytes(num_bytes)


async def receive(messages: AsyncIterator[bytes], patience: Patience | None = None) -> None:
    patience = patience or Patience(_STALL_SECONDS)
    while (message := await patience.next(messages)) is not None:
        patience.count(len(message))


def test_a_sender_who_keeps_up_may_take_its_time() -> None:
    """Just above the slowest rate, with pauses just below the longest."""
    messages = [(29.0, 29 * MIN_BYTES_PER_SECOND)] * 100

    assert 2900 == run(receive(sent(messages)))


def test_a_burst_buys_no_pause_above_the_limit() -> None:
    async def scenario() -> None:
        with pytest.raises(UploadStalledError, match="no message of the upload came for 30 s"):
            await receive(sent([(0, 1 << 30), (30.5, 1)]))

    assert 30 == run(scenario())


def test_single_bytes_just_in_time_are_no_way_around_the_limit() -> None:
    async def scenario() -> None:
        with pytest.raises(UploadStalledError, match="too slowly, with less than 10240 bytes per second"):
            await receive(sent([(29.0, 1)] * 1000))

    assert pytest.approx(30, abs=0.01) == run(scenario())


def test_the_time_in_which_nobody_waited_does_not_count() -> None:
    """A sender can't be blamed for a slow disk."""

    async def scenario() -> None:
        patience = Patience(_STALL_SECONDS)
        messages = sent([(1, 1)] * 29)
        for _ in range(29):
            await patience.next(messages)
            await asyncio.sleep(1000)

    assert 29 * 1001 == run(scenario())


def test_whoever_is_stopped_waits_no_longer_and_never_again() -> None:
    async def scenario() -> None:
        patience, error = Patience(_STALL_SECONDS), ShuttingDownError()
        waiting = asyncio.create_task(receive(sent([(20, 1)]), patience))
        await asyncio.sleep(1)
        patience.stop(error)
        patience.stop(RuntimeError("too late"))
        with pytest.raises(ShuttingDownError):
            await waiting
        with pytest.raises(ShuttingDownError):
            await receive(sent([(0, 1)]), patience)

    assert 1 == run(scenario())


def test_a_cancelled_wait_is_cancelled() -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(receive(sent([(20, 1)])))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert 1 == run(scenario())
