"""Calls that come when they come, whether or not earlier ones were answered; and, to compare, callers that wait.

Made to cost little beside a server on the same machine: requests are serialised before, answers are kept as bytes and
looked at after the run. `Calls.lag_seconds` tells whether it kept up: how late calls were sent.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2

CLASSIFY = "/adaptermux.v1.Infer/Classify"
_DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it; times on the clock of `time.perf_counter`."""

    due_at: float
    sent_at: float
    ended_at: float
    code: grpc.StatusCode
    body: bytes
    """The response, or the details of the status."""

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.code is grpc.StatusCode.OK

    @property
    def seconds(self) -> float:
        """From when it was due, so that a generator that falls behind can't hide it."""
        return self.ended_at - self.due_at

    @property
    def says_when_to_retry(self) -> bool:
        """Of a refused one."""
        details = status_pb2.Status.FromString(self.body).details
        return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in details)


@dataclass(frozen=True, slots=True)
class Calls:
    """Those of one run that were due in [begins_at, ends_at)."""

    all: Sequence[Call]
    begins_at: float
    ends_at: float

    @property
    def answered(self) -> list[Call]:
        """Those in time: a caller gives up at its deadline."""
        return [call for call in self.all if call.ok]

    @property
    def refused(self) -> list[Call]:
        """All others."""
        return [call for call in self.all if not call.ok]

    @property
    def goodput(self) -> float:
        """Answers per second that came within the stretch, whenever their calls were due."""
        return sum(self.begins_at <= call.ended_at < self.ends_at for call in self.answered) / (
            self.ends_at - self.begins_at
        )

    @property
    def lag_seconds(self) -> float:
        """How late calls were sent, but for the worst hundredth."""
        return percentile([call.sent_at - call.due_at for call in self.all], 99)


class Caller:
    """Asks one server."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._method: Any = channel.unary_unary(CLASSIFY)
        self.timeout_seconds = timeout_seconds
        """The deadline of each call."""

    async def open_loop(self, requests: Iterator[bytes], rate: float, seconds: float, seed: int) -> Calls:
        """Send `rate` requests a second (Poisson) for so long, and wait until all have ended."""
        gaps = np.random.default_rng(seed).exponential(1.0, round(rate * seconds))
        # Scaled, so that short runs too offer what they are meant to.
        offsets = np.cumsum(gaps * seconds / gaps.sum()).tolist()
        calls: list[Call] = []
        begins_at = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for due_at in (begins_at + offset for offset in offsets):
                if (wait := due_at - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(self._call(next(requests), due_at, calls))
        return Calls(calls, begins_at, begins_at + seconds)

    async def closed_loop(self, requests: Iterator[bytes], num_callers: int, seconds: float) -> Calls:
        """So many callers, each of whom asks again as soon as it has its answer."""
        calls: list[Call] = []
        begins_at = time.perf_counter()

        async def ask_again() -> None:
            while (now := time.perf_counter()) < begins_at + seconds:
                await self._call(next(requests), now, calls)

        await asyncio.gather(*(ask_again() for _ in range(num_callers)))
        return Calls(calls, begins_at, begins_at + seconds)

    async def _call(self, request: bytes, due_at: float, calls: list[Call]) -> None:
        sent_at = time.perf_counter()
        try:
            body = await self._method(request, timeout=self.timeout_seconds)
        except grpc.aio.AioRpcError as error:
            details: Iterable[Any] = error.trailing_metadata() or ()
            body = next((value for key, value in details if key == _DETAILS_KEY), b"")
            calls.append(Call(due_at, sent_at, time.perf_counter(), error.code(), body))
        else:
            calls.append(Call(due_at, sent_at, time.perf_counter(), grpc.StatusCode.OK, body))


def percentile(values: Sequence[float], percent: float) -> float:
    """NaN where there is none."""
    return float(np.percentile(values, percent)) if values else float("nan")
