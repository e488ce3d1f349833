"""All that a server does, at once and for long, at a server in a process of its own.

Callers of all kinds run side by side: plain calls, `Analyze`, streams (also such as are left half-read), calls that are
cancelled, deadlines that are hard to meet, wrong requests, reads, watches; and operators who load, push, swap, alias,
unload and delete. Some adapters of each task stay, others come and go; six methods, of which the bank serves five and
the switch executor one; more adapters than there is room for in the engine. Every number of every answer is compared
with what the same content gave to the same text alone, before (`soak_subjects.TOLERANCE`).

`wrong`: answers that weren't the same. `unexpected`: failures other than those that were provoked. The growths compare
the last third of the time with the first, after a warm-up: resident memory by means, threads and open files by medians.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from adaptermux_client import AsyncAdapterMuxClient, AsyncAdminClient
from adaptermux_server.testing import local_server
from benchmarks.adapters import BASE_FOLDER
from benchmarks.soak_subjects import quiet_answers, save_contents
from benchmarks.soak_traffic import Traffic

TARGETS: dict[str, tuple[str, float]] = {
    "wrong": ("<=", 0),
    "unexpected": ("<=", 0),
    "rss_growth": ("<=", 1.05),
    "threads_growth": ("<=", 1),
    "fds_growth": ("<=", 2),
    "exit_status": ("<=", 0),
}

_MINUTES, _QUICK_MINUTES = 5.0, 0.5
_NUM_RESIDENTS, _NUM_GUESTS = 12, 3
_MAX_DEVICE_ADAPTERS = 10
_NUM_ASKERS = 4
_WARM_UP_SHARE = 0.2
"""Of the time, before anything is sampled: allocators, pools and what is made once take time to settle."""
_SAMPLE_SECONDS = 0.5


@dataclass
class _Samples:
    """Of the server's process."""

    resident_bytes: list[int] = field(default_factory=list)
    num_threads: list[int] = field(default_factory=list)
    num_fds: list[int] = field(default_factory=list)

    def take(self, process: psutil.Process) -> None:
        self.resident_bytes.append(process.memory_info().rss)
        self.num_threads.append(process.num_threads())
        self.num_fds.append(process.num_fds())


def run(quick: bool) -> dict[str, float]:
    """Measure; `quick`: half a minute rather than five."""
    return run_for(_QUICK_MINUTES if quick else _MINUTES)


def run_for(minutes: float) -> dict[str, float]:
    """Measure for so long."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), minutes * 60))


async def _measure(folder: Path, seconds: float) -> dict[str, float]:
    contents = save_contents(folder / "adapters")
    arguments = ["--model", str(BASE_FOLDER), "--adapter-root", str(folder), "--store", str(folder / "store")]
    with local_server([*arguments, "--max-device-adapters", str(_MAX_DEVICE_ADAPTERS)]) as server:
        async with (
            AsyncAdapterMuxClient(server.data_address) as client,
            AsyncAdminClient(server.admin_address) as admin,
        ):
            answers = await quiet_answers(client, admin, contents)
            residents = {f"resident-{number}": content for number, content in enumerate(contents[:_NUM_RESIDENTS])}
            for adapter, content in residents.items():
                await admin.load_adapter(adapter, content.folder)
            traffic = Traffic(client, admin, answers, residents)
            # Each guest has contents of its own: who deletes one takes nothing from another.
            guests = [contents[_NUM_RESIDENTS + number :: _NUM_GUESTS] for number in range(_NUM_GUESTS)]
            callers = [*_callers(traffic, folder)]
            callers += [_changing(traffic, f"guest-{number}", cycle(own)) for number, own in enumerate(guests)]
            samples = await _soak(callers, psutil.Process(server.process.pid), seconds)
        exit_status = server.stop()
    for what, count in traffic.tally.unexpected.most_common(10):
        print(f"unexpected, {count} times: {what}")
    return _metrics(traffic, samples, seconds) | {"exit_status": float(exit_status)}


_Caller = Callable[[], Awaitable[None]]


def _callers(traffic: Traffic, folder: Path) -> list[_Caller]:
    disturbing = [traffic.cancel, traffic.hurry, traffic.look, traffic.watch, lambda: traffic.err(folder)]
    return [*([traffic.ask_plainly] * _NUM_ASKERS), traffic.analyze, traffic.stream, *disturbing]


def _changing(traffic: Traffic, guest: str, contents: "cycle[object]") -> _Caller:
    return lambda: traffic.change(guest, contents)  # type: ignore[arg-type]


async def _soak(callers: list[_Caller], process: psutil.Process, seconds: float) -> _Samples:
    """Let all of them call again and again until the time is over."""
    samples, started = _Samples(), time.monotonic()

    async def repeat(call: _Caller) -> None:
        while time.monotonic() - started < seconds:
            await call()

    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(repeat(caller))
        await asyncio.sleep(seconds * _WARM_UP_SHARE)
        while time.monotonic() - started < seconds:
            samples.take(process)
            await asyncio.sleep(_SAMPLE_SECONDS)
    return samples


def _metrics(traffic: Traffic, samples: _Samples, seconds: float) -> dict[str, float]:
    third = max(1, len(samples.resident_bytes) // 3)
    tally = traffic.tally

    def grown(counts: list[int]) -> float:
        return float(np.median(counts[-third:]) - np.median(counts[:third]))

    return {
        "wrong": float(tally.num_wrong),
        "unexpected": float(tally.unexpected.total()),
        "rss_growth": float(np.mean(samples.resident_bytes[-third:]) / np.mean(samples.resident_bytes[:third])),
        "threads_growth": grown(samples.num_threads),
        "fds_growth": grown(samples.num_fds),
        "answers": float(tally.calls["answers"]),
        "calls": float(tally.calls.total() - tally.calls["answers"]),
        "changes": float(tally.calls["changes of a guest"]),
        "resident_mib": max(samples.resident_bytes) / 2**20,
        "minutes": seconds / 60,
    }
