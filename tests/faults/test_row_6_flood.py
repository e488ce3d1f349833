"""One tenant floods: it is refused what exceeds its share of the queue, and all others are answered."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.e2e.expected import TEXTS
from tests.faults.pressed import Pressed, pressed
from tests.faults.server_forks import Forks

_LIMITS = ["--max-queued-rows", "32", "--max-queued-rows-per-adapter", "16", "--max-wait-seconds", "0.1"]
_NUM_CALLERS = 32
_NUM_CALLS = 12
_PAUSE_SECONDS = 0.2
"""Of a flooding caller that was refused, so that the client has time for the others too."""


async def _flood(server: Pressed, outcomes: Counter[str], over: asyncio.Event) -> None:
    while not over.is_set():
        outcome = await server.classify()
        outcomes[outcome] += 1
        if outcome != "OK":
            await asyncio.sleep(_PAUSE_SECONDS)


async def test_a_tenant_that_floods_takes_nothing_from_the_others(
    forks: Forks, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    flood, over = Counter[str](), asyncio.Event()
    async with pressed(forks, folders, tmp_path / "log", *_LIMITS) as server:
        callers = [asyncio.create_task(_flood(server, flood, over)) for _ in range(_NUM_CALLERS)]
        while not flood["QUEUE_FULL"]:  # noqa: ASYNC110 - it is counted, not told
            await asyncio.sleep(_PAUSE_SECONDS)

        others = [await server.tag(each % len(TEXTS)) for each in range(_NUM_CALLS)]
        refused_meanwhile = flood["QUEUE_FULL"]
        over.set()
        await asyncio.gather(*callers)

    assert ["OK"] * _NUM_CALLS == others
    assert refused_meanwhile > 0
    assert {"OK", "QUEUE_FULL"} == flood.keys()
