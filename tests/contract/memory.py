"""Row 23: an engine with room for fewer adapters than are asked for."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc

from adaptermux.v1 import adapter_admin_pb2
from tests.contract.world import Case, World, assert_refused, refusal, world_inside

_DEVICE = adapter_admin_pb2.TIER_DEVICE


async def _in_the_engine(world: World) -> set[str]:
    response = await world.admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest())
    return {adapter.id for adapter in response.adapters if adapter.tier == _DEVICE}


async def _pin(world: World, adapters: Sequence[str]) -> None:
    for name in adapters:
        request = adapter_admin_pb2.UpdateAdapterRequest(adapter=adapter_admin_pb2.Adapter(id=name, pinned=True))
        request.update_mask.paths.append("pinned")
        await world.admin.UpdateAdapter(request)


async def _ask(world: World, *adapters: str) -> None:
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "sentiment": world.classify,
        "pos": world.tag,
        "spare": partial(world.classify, "spare"),
    }
    for name in adapters:
        world.expected[name].assert_answered(0, (await calls[name]()).results[0])


async def _all_pinned(world: World) -> None:
    async with world_inside(world.ground, max_device_adapters=2, adapters={}) as small:
        for name in ("sentiment", "pos"):
            await small.load(name, world.root / name)
        await _pin(small, ("sentiment", "pos"))
        error = await refusal(small.load("spare", world.root / "spare"))
        assert_refused(error, grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_FULL")
        assert {"sentiment", "pos"} == await _in_the_engine(small)
        await _ask(small, "sentiment", "pos")


async def _evictable(world: World) -> None:
    async with world_inside(world.ground, max_device_adapters=2, adapters={}) as small:
        for name in ("sentiment", "pos", "spare"):
            await small.load(name, world.root / name)
        await _ask(small, "sentiment", "pos", "spare")
        assert {"pos", "spare"} == await _in_the_engine(small)
        await _ask(small, "pos", "sentiment")
        assert {"pos", "sentiment"} == await _in_the_engine(small)


CASES = [Case(23, "all-pinned", _all_pinned), Case(23, "evictable", _evictable)]
