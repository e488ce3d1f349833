"""Adapters that come, change and go under traffic, many times over, at a server in a process of its own.

Each of 32 ids is loaded, asked, moved to another content, asked and unloaded, again and again, four ids at a time;
each load and each unload counts as one change. Meanwhile clients ask two adapters that stay, without a pause. Every
answer is compared with the one that the same content gave alone, before. Whoever asks an id that is just going may be
refused (that it is unknown or draining); every other failure counts as unexpected.

`slowest_steady_ms` is the longest that a request for an adapter that stays took: no load, swap or unload may hold it up
for long. `growth_ratio` is the server's resident memory in the last quarter over that in the second quarter, means of
both: the first quarter is left out, since allocators take time to settle.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from adaptermux_client import AdapterMuxClientError, AsyncAdapterMuxClient, AsyncAdminClient
from adaptermux_client.errors import AdapterNotFoundError, AdapterNotReadyError
from adaptermux_server.testing import local_server
from benchmarks.adapters import BASE_FOLDER, save_adapters

TARGETS: dict[str, tuple[str, float]] = {
    "wrong_answers": ("<=", 0),
    "unexpected_failures": ("<=", 0),
    "growth_ratio": ("<=", 1.05),
}

_NUM_IDS, _NUM_CONTENTS, _NUM_AT_ONCE = 32, 40, 4
_STEADY = ("steady-0", "steady-1")
_TEXTS = ("a quiet film about a river", "the engine is broken again", "they bought the cheap house near the market")
_TOLERANCE = 1e-4
_CHANGES_PER_CYCLE = 3
"""A load, a swap and an unload."""


@dataclass
class _Tally:
    """What happened so far."""

    num_answers: int = 0
    num_wrong: int = 0
    num_changes: int = 0
    unexpected: list[str] = field(default_factory=list)
    steady_seconds: list[float] = field(default_factory=list)
    resident_bytes: list[int] = field(default_factory=list)


def run(quick: bool) -> dict[str, float]:
    """Measure; `quick`: 8 changes for each id rather than 1,024."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), 8 if quick else 1024))


async def _measure(folder: Path, changes_per_id: int) -> dict[str, float]:
    contents = list(save_adapters(folder / "adapters", _NUM_CONTENTS).values())
    arguments = ["--model", str(BASE_FOLDER), "--adapter-root", str(folder), "--store", str(folder / "store")]
    with local_server(arguments) as server:
        async with (
            AsyncAdapterMuxClient(server.data_address) as client,
            AsyncAdminClient(server.admin_address) as admin,
        ):
            world = _World(client, admin, await _references(client, admin, contents))
            started = time.perf_counter()
            await world.churn(changes_per_id, psutil.Process(server.process.pid))
            seconds = time.perf_counter() - started
        exit_status = server.stop()
    return _metrics(world.tally, seconds) | {"exit_status": float(exit_status)}


async def _references(
    client: AsyncAdapterMuxClient, admin: AsyncAdminClient, contents: Sequence[Path]
) -> Mapping[Path, Sequence[Mapping[str, float]]]:
    """What each content answers alone, before anything else is loaded."""
    references = {}
    for content in contents:
        await admin.load_adapter("alone", content)
        references[content] = [_scores(result) for result in await client.classify("alone", _TEXTS)]
    await admin.unload_adapter("alone")
    return references


class _World:
    """The server under traffic and under change."""

    def __init__(
        self,
        client: AsyncAdapterMuxClient,
        admin: AsyncAdminClient,
        references: Mapping[Path, Sequence[Mapping[str, float]]],
    ) -> None:
        self._client, self._admin, self._references = client, admin, references
        self._contents = list(references)
        self.tally = _Tally()

    async def churn(self, changes_per_id: int, process: psutil.Process) -> None:
        for adapter_id, content in zip(_STEADY, self._contents, strict=False):
            await self._admin.load_adapter(adapter_id, content)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for adapter_id, content in zip(_STEADY, self._contents, strict=False):
                group.create_task(self._ask_steadily(adapter_id, content, over))
            group.create_task(self._watch_memory(process, over))
            ids = [f"guest-{number:02}" for number in range(_NUM_IDS)]
            workers = [
                group.create_task(self._change(ids[start::_NUM_AT_ONCE], changes_per_id // _CHANGES_PER_CYCLE + 1))
                for start in range(_NUM_AT_ONCE)
            ]
            await asyncio.wait(workers)
            over.set()

    async def _change(self, ids: Sequence[str], num_cycles: int) -> None:
        contents = itertools.cycle(self._contents[len(_STEADY) :])
        for _, adapter_id in itertools.product(range(num_cycles), ids):
            for content in (next(contents), next(contents)):
                await self._admin.load_adapter(adapter_id, content)
                await self._ask(adapter_id, content)
            late = asyncio.create_task(self._ask(adapter_id, content, may_be_gone=True))
            await asyncio.sleep(0)
            await self._admin.unload_adapter(adapter_id)
            await late
            self.tally.num_changes += _CHANGES_PER_CYCLE

    async def _ask_steadily(self, adapter_id: str, content: Path, over: asyncio.Event) -> None:
        while not over.is_set():
            started = time.perf_counter()
            await self._ask(adapter_id, content)
            self.tally.steady_seconds.append(time.perf_counter() - started)

    async def _ask(self, adapter_id: str, content: Path, *, may_be_gone: bool = False) -> None:
        try:
            results = await self._client.classify(adapter_id, _TEXTS)
        except AdapterMuxClientError as error:
            if not (may_be_gone and isinstance(error, AdapterNotFoundError | AdapterNotReadyError)):
                self.tally.unexpected.append(repr(error))
            return
        self.tally.num_answers += len(results)
        for result, expected in zip(results, self._references[content], strict=True):
            self.tally.num_wrong += not _same(_scores(result), expected)

    async def _watch_memory(self, process: psutil.Process, over: asyncio.Event) -> None:
        while not over.is_set():
            self.tally.resident_bytes.append(process.memory_info().rss)
            await asyncio.sleep(0.2)


def _metrics(tally: _Tally, seconds: float) -> dict[str, float]:
    quarter = max(1, len(tally.resident_bytes) // 4)
    second, last = tally.resident_bytes[quarter : 2 * quarter], tally.resident_bytes[-quarter:]
    return {
        "wrong_answers": float(tally.num_wrong),
        "unexpected_failures": float(len(tally.unexpected)),
        "growth_ratio": float(np.mean(last) / np.mean(second)),
        "answers": float(tally.num_answers),
        "changes": float(tally.num_changes),
        "changes_per_second": tally.num_changes / seconds,
        "steady_ms_p50": 1e3 * float(np.median(tally.steady_seconds)),
        "steady_ms_p99": 1e3 * float(np.quantile(tally.steady_seconds, 0.99)),
        "slowest_steady_ms": 1e3 * max(tally.steady_seconds),
    }


def _scores(result: object) -> Mapping[str, float]:
    labels = result.labels  # type: ignore[attr-defined]
    return {label.label: label.score for label in labels}


def _same(scores: Mapping[str, float], expected: Mapping[str, float]) -> bool:
    return scores.keys() == expected.keys() and all(abs(scores[key] - expected[key]) < _TOLERANCE for key in expected)
