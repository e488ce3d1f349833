"""SIGTERM under load: health first, then what was accepted finishes, then the process ends."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from tests.e2e.expected import TEXTS
from tests.faults.pressed import PATIENCE_SECONDS, Pressed, pressed
from tests.faults.server_forks import Forks
from tests.faults.tampering import CLOSE_SECONDS, HANGS_WHILE

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GONE = {"SHUTTING_DOWN", "UNAVAILABLE", "CANCELLED"}
"""What a call gets that comes too late. gRPC itself drops calls that no handler has seen yet, as CANCELLED."""

_NUM_CALLS = 48
_NUM_CALLERS = 4


def _burst(server: Pressed) -> list["asyncio.Task[str]"]:
    calls = (server.classify, server.tag)
    return [asyncio.create_task(calls[each % 2](each % len(TEXTS))) for each in range(_NUM_CALLS)]


async def _call_until_refused(server: Pressed) -> str:
    for index in itertools.cycle(range(len(TEXTS))):
        if (outcome := await server.classify(index)) != "OK":
            return outcome
    raise AssertionError


async def _not_serving(watch: object) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await watch.read()).status != NOT_SERVING:  # type: ignore[attr-defined]
            pass


async def test_all_that_was_accepted_is_answered_and_health_tells_before(
    forks: Forks, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    async with pressed(forks, folders, tmp_path / "log") as server:
        watch = server.watch_health()
        await watch.read()
        accepted = _burst(server)
        await server.until_in_flight(_NUM_CALLS)
        callers = [asyncio.create_task(_call_until_refused(server)) for _ in range(_NUM_CALLERS)]

        server.process.terminate()
        await _not_serving(watch)
        num_done = sum(call.done() for call in accepted)
        outcomes, refusals = await asyncio.gather(*accepted), await asyncio.gather(*callers)

        assert num_done < _NUM_CALLS, "the calls were no load: health told only after them"
        assert {"OK"} == set(outcomes)
        assert GONE >= set(refusals)
        assert 0 == await server.ended()
    events = [line.get("event") for line in server.process.lines()]
    assert ["stopping", "stopped"] == [event for event in events if str(event).startswith("stop")]


async def test_what_does_not_finish_within_the_drain_time_gets_a_status(
    forks: Forks, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    async with pressed(forks, folders, tmp_path / "log", "--drain-seconds", "0.1") as server:
        accepted = _burst(server)
        await server.until_in_flight(_NUM_CALLS)

        server.process.terminate()
        outcomes = Counter(await asyncio.gather(*accepted))

        assert {"OK", "SHUTTING_DOWN"} == outcomes.keys()
        assert 0 == await server.ended()


@pytest.mark.parametrize("when", ["before the signal", "after the signal"])
async def test_a_hung_engine_keeps_neither_calls_nor_the_process(
    forks: Forks, folders: tuple[Path, Path], tmp_path: Path, when: str
) -> None:
    """A thread that hangs can't be ended; the process can."""
    hangs = tmp_path / "hangs"
    environment = {HANGS_WHILE: str(hangs), CLOSE_SECONDS: "1"}
    drain = ["--drain-seconds", "0.1", "--engine-stall-seconds", "0.2"]
    async with pressed(forks, folders, tmp_path / "log", *drain, **environment) as server:
        hangs.touch()
        accepted = _burst(server)
        await server.until_in_flight(_NUM_CALLS)
        if when == "before the signal":
            watch = server.watch_health()
            await _not_serving(watch)

        server.process.terminate()
        outcomes = set(await asyncio.gather(*accepted))

        # Those of the forward itself learn of the end by the end.
        assert {"SHUTTING_DOWN"} <= outcomes <= GONE
        assert 1 == await server.ended()
    last = server.process.lines()[-1]
    assert "by force" in str(last["event"])
