"""Three times as many calls as the server can answer: what is still answered in time, and how the rest learn of it.

The server is a process of its own with one computing thread, over MiniLM with LoRA adapters; the callers are another
process, on the same machine. Goodput is answers in time per second; its peak is that of 64 callers who wait for their
answers. Every call has a deadline, four times as long as such a caller waits (median), whatever the machine. Then calls
come three times as fast, by a Poisson process, whether or not the server keeps up: for 16 adapters by Zipf's law. Peak
and overload take turns; medians of the rounds.

`p99_ratio_quiet_tenant`: a tenant with few calls, while another one floods the server at three times its peak, to the
same alone, by turns. A call that comes while a batch is under way has to wait for it, so `…_to_alone_plus_batch`
compares with the sum of the two: what a call takes alone (p99), and what a full batch takes at the flood's goodput.

`client_…` shows that the callers kept up: how late they sent (p99), and how much of a core they took. `refusal_ms_p50`
is what a refused caller waits for its refusal.
"""

import asyncio
import gc
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
import psutil

from adaptermux.v1.infer_pb2 import ClassifyRequest, Input
from benchmarks.adapters import BASE_FOLDER, save_adapters
from benchmarks.open_loop import Caller, Calls, percentile
from benchmarks.processes import ServerProcess, server_process
from benchmarks.traffic import traffic

TARGETS: dict[str, tuple[str, float]] = {
    "goodput_at_3x": (">=", 0.9),
    "share_of_refusals_with_retry": (">=", 0.99),
    "p99_ratio_quiet_tenant_to_alone_plus_batch": ("<=", 2.0),
}

_NUM_ADAPTERS = 16
_NUM_CALLERS = 64
_BATCH_ROWS = 32
"""The most that a batch of the server holds."""
_OVERLOAD = 3.0
_DEADLINE_IN_WAITS = 4.0
_NO_DEADLINE_SECONDS = 60.0
_QUIET_RATE = 8.0
_NUM_REQUESTS = 2048
"""Different ones, asked over and over."""
_WARM_UP_SECONDS = 3.0
_SETTLE_SECONDS = 2.5
"""Of overload before the measurement: the queue fills up."""
_SERVE = "import typer; from adaptermux_server.cli import serve; typer.run(serve)"


@dataclass(frozen=True, slots=True)
class Scale:
    """How long is measured."""

    num_rounds: int
    seconds: float
    """Of each stretch of a round."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of a core, in a stretch."""

    client: float
    server: float


@dataclass(frozen=True, slots=True)
class Round:
    """Each kind of traffic once."""

    peak: Calls
    overload: Calls
    usage: Usage
    """Under overload."""
    quiet_alone: Calls
    quiet: Calls
    flood: Calls
    """Beside `quiet`."""


def run(quick: bool) -> dict[str, float]:
    """Measure; the server is started and stopped here."""
    scale = Scale(2, 3.0) if quick else Scale(3, 6.0)
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(save_adapters(Path(folder), _NUM_ADAPTERS + 1), scale))


async def _measure(adapters: Mapping[str, Path], scale: Scale) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(server_process(*_command(adapters)))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(process.addresses["data"]))
        bench = _Bench(Caller(channel, _NO_DEADLINE_SECONDS), process, list(adapters), scale)
        # The collector would stop the client for longer than a forward takes.
        gc.freeze()
        await bench.warm_up()
        rounds = [await bench.round(number) for number in range(scale.num_rounds)]
    return {**_metrics(rounds), "deadline_ms": bench.caller.timeout_seconds * 1e3}


def _command(adapters: Mapping[str, Path]) -> list[str]:
    listeners = ["--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    options = [f"--adapter={adapter_id}={folder}" for adapter_id, folder in adapters.items()]
    settings = ["--model", str(BASE_FOLDER), "--num-threads", "1", "--log-format", "json"]
    return [sys.executable, "-c", _SERVE, *settings, *listeners, *options]


class _Bench:
    """A server and all that it is asked."""

    def __init__(self, caller: Caller, process: ServerProcess, adapter_ids: Sequence[str], scale: Scale) -> None:
        self.caller, self._process, self._scale = caller, process, scale
        *busy, quiet = adapter_ids
        requests = traffic(_NUM_REQUESTS, len(busy))
        texts = [request.text for request in requests]
        self._mixed = _endless(texts, [busy[request.adapter] for request in requests])
        self._flood = _endless(texts, busy[:1])
        self._quiet = _endless(texts, [quiet])

    async def warm_up(self) -> None:
        """Let the server learn what forwards cost, and choose the deadline."""
        await self.caller.closed_loop(self._mixed, _NUM_CALLERS, _WARM_UP_SECONDS)
        calls = await self.caller.closed_loop(self._mixed, _NUM_CALLERS, _WARM_UP_SECONDS)
        self.caller.timeout_seconds = _DEADLINE_IN_WAITS * percentile([call.seconds for call in calls.all], 50)

    async def round(self, number: int) -> Round:
        """Measure each kind of traffic once."""
        seconds = self._scale.seconds
        peak = await self.caller.closed_loop(self._mixed, _NUM_CALLERS, seconds)
        rate = _OVERLOAD * peak.goodput
        meter = _CpuMeter(self._process.pid)
        overload = await self.caller.open_loop(self._mixed, rate, _SETTLE_SECONDS + seconds, number)
        usage = meter.usage()
        alone = await self.caller.open_loop(self._quiet, _QUIET_RATE, 2 * seconds, number)
        flood, quiet = await asyncio.gather(
            self.caller.open_loop(self._flood, rate, _SETTLE_SECONDS + 2 * seconds, number + 100),
            self._quiet_later(2 * seconds, number),
        )
        return Round(peak, _settled(overload), usage, alone, quiet, _settled(flood))

    async def _quiet_later(self, seconds: float, seed: int) -> Calls:
        await asyncio.sleep(_SETTLE_SECONDS)
        return await self.caller.open_loop(self._quiet, _QUIET_RATE, seconds, seed)


class _CpuMeter:
    """What client and server use from now on."""

    def __init__(self, server_pid: int) -> None:
        self._processes = (psutil.Process(), psutil.Process(server_pid))
        self._before, self._began_at = self._cpu_seconds(), time.perf_counter()

    def usage(self) -> Usage:
        """Until now."""
        seconds = time.perf_counter() - self._began_at
        used = (after - before for before, after in zip(self._before, self._cpu_seconds(), strict=True))
        return Usage(*(part / seconds for part in used))

    def _cpu_seconds(self) -> list[float]:
        times = [process.cpu_times() for process in self._processes]
        return [part.user + part.system for part in times]


def _endless(texts: Sequence[str], adapter_ids: Sequence[str]) -> Iterator[bytes]:
    """Requests, serialised, over and over; the shorter sequence is repeated."""
    pairs = zip(texts, itertools.cycle(adapter_ids), strict=False)
    requests = [ClassifyRequest(adapter=id_, inputs=[Input(text=text)]).SerializeToString() for text, id_ in pairs]
    return itertools.cycle(requests)


def _settled(calls: Calls) -> Calls:
    begins_at = calls.begins_at + _SETTLE_SECONDS
    # Those due before count where they were answered after: goodput is of answers.
    return Calls([call for call in calls.all if call.ended_at >= begins_at], begins_at, calls.ends_at)


def _metrics(rounds: Sequence[Round]) -> dict[str, float]:
    overloads, refused = [one.overload for one in rounds], [call for one in rounds for call in one.overload.refused]
    answered = [call.seconds for one in overloads for call in one.answered]
    codes = Counter(call.code.name.lower() for call in refused)
    return {
        "goodput_at_3x": _median([one.overload.goodput / one.peak.goodput for one in rounds]),
        "peak_goodput": _median([one.peak.goodput for one in rounds]),
        "share_of_refusals_with_retry": _share([call.says_when_to_retry for call in refused]),
        **{f"share_of_refusals_{code}": count / len(refused) for code, count in sorted(codes.items())},
        "answered_ms_p50": percentile(answered, 50) * 1e3,
        "answered_ms_p99": percentile(answered, 99) * 1e3,
        "refusal_ms_p50": percentile([call.seconds for call in refused], 50) * 1e3,
        "refusal_ms_p99": percentile([call.seconds for call in refused], 99) * 1e3,
        **_quiet_metrics(rounds),
        "client_lag_ms_p99": _median([one.lag_seconds for one in overloads]) * 1e3,
        "client_cpu_share": _median([one.usage.client for one in rounds]),
        "server_cpu_share": _median([one.usage.server for one in rounds]),
    }


def _quiet_metrics(rounds: Sequence[Round]) -> dict[str, float]:
    alone = [call.seconds for one in rounds for call in one.quiet_alone.answered]
    beside = [call.seconds for one in rounds for call in one.quiet.answered]
    batch = _BATCH_ROWS / _median([one.flood.goodput for one in rounds])
    p99_alone, p99_beside = percentile(alone, 99), percentile(beside, 99)
    return {
        "p99_ratio_quiet_tenant": p99_beside / p99_alone,
        "p99_ratio_quiet_tenant_to_alone_plus_batch": p99_beside / (p99_alone + batch),
        "quiet_alone_ms_p99": p99_alone * 1e3,
        "quiet_ms_p50": percentile(beside, 50) * 1e3,
        "quiet_ms_p99": p99_beside * 1e3,
        "quiet_share_answered": _share([call.ok for one in rounds for call in one.quiet.all]),
        "batch_ms_beside_quiet": batch * 1e3,
        "flood_goodput_beside_quiet": _median([one.flood.goodput / one.peak.goodput for one in rounds]),
    }


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")
