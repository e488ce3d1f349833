"""Adapters that come and go under traffic, many times over."""

import asyncio
import time
from typing import Any

import pytest

from tests.contract.world import World
from tests.e2e.expected import TEXTS
from tests.faults.leftovers import nothing_left_behind, settle

pytestmark = pytest.mark.asyncio(loop_scope="session")

_NUM_CYCLES = 200
_MAX_SECONDS = 15.0
"""On a slow machine it makes do with fewer cycles."""
_LEAST_CYCLES = 20


async def _traffic(world: World, over: asyncio.Event) -> None:
    """Ask what stays; every answer is right."""
    while not over.is_set():
        responses: Any = await asyncio.gather(world.classify(num_rows=2), world.tag(3), world.embed(1))
        for name, response in zip(("sentiment", "pos", ""), responses, strict=True):
            for index, result in enumerate(response.results):
                world.expected[name].assert_answered(index, result)


async def _cycle(world: World, adapter_id: str) -> None:
    """Load, ask, unload, while the answer of the last call may still be computed."""
    await world.load(adapter_id, world.root / "guest")
    response: Any = await world.classify(adapter_id, len(TEXTS))
    for index, result in enumerate(response.results):
        world.expected["guest"].assert_answered(index, result)
    last = asyncio.ensure_future(world.classify(adapter_id))
    await asyncio.sleep(0)
    await asyncio.gather(world.unload(adapter_id), last, return_exceptions=True)


async def _cycles(world: World) -> int:
    started = time.monotonic()
    for number in range(_NUM_CYCLES):
        if time.monotonic() - started > _MAX_SECONDS:
            return number
        await _cycle(world, f"guest-{number}")
    return _NUM_CYCLES


async def test_adapters_that_come_and_go_under_traffic_leave_nothing_behind(the_world: World) -> None:
    """No wrong answer; afterwards neither the registry, the trees nor the queue know them, and no tensor is kept."""
    await _cycle(the_world, "guest")
    await settle(the_world)
    bytes_before = the_world.harness.executor.adapter_bytes

    with nothing_left_behind():
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(_traffic(the_world, over))
            num_cycles = await _cycles(the_world)
            over.set()
        await settle(the_world)

    assert num_cycles >= _LEAST_CYCLES
    assert ["pos", "sentiment"] == [record.id for record in the_world.harness.registry.list()]
    assert bytes_before == the_world.harness.executor.adapter_bytes
    assert () == the_world.harness.scheduler.status().queues
