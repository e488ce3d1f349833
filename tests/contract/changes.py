"""Rows 2 and 21: adapters that are changing, and changes that meet."""

import asyncio

import grpc

from adaptermux_client.errors import AdapterMuxClientError
from tests.contract.world import Case, World, assert_refused, refusal
from tests.e2e.harness import eventually

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
ABORTED = grpc.StatusCode.ABORTED

_ID = "candidate"


def _assert_not_ready(error: AdapterMuxClientError, state: str) -> None:
    assert_refused(error, PRECONDITION, "ADAPTER_NOT_READY", says=[state])
    assert state == error.metadata["state"]
    assert (state == "LOADING") == (error.retry_after_seconds is not None)


async def _asked_while_loading(world: World) -> None:
    # The last step of a load waits for the engine.
    async with world.harness.occupied(world.embed):
        loading = asyncio.ensure_future(world.load(_ID, world.root / "spare"))
        await eventually(lambda: _is_known(world))
        _assert_not_ready(await refusal(world.classify(_ID)), "LOADING")
    await loading
    world.expected["spare"].assert_answered(0, (await world.classify(_ID)).results[0])
    await world.unload(_ID)


async def _asked_when_failed(world: World) -> None:
    await refusal(world.load(_ID, world.root / "nothing"))
    _assert_not_ready(await refusal(world.classify(_ID)), "FAILED")
    await world.unload(_ID)


async def _asked_while_draining(world: World) -> None:
    await world.load(_ID, world.root / "spare")
    async with world.harness.occupied(lambda: world.classify(_ID)):
        unloading = asyncio.ensure_future(world.unload(_ID))
        await eventually(lambda: _state(world) == "DRAINING")
        _assert_not_ready(await refusal(world.classify(_ID)), "DRAINING")
    assert _ID == (await unloading).adapter.id


async def _loaded_twice_at_once(world: World) -> None:
    loads = [world.load(_ID, world.root / folder) for folder in ("spare", "sentiment")]
    outcomes = await asyncio.gather(*loads, return_exceptions=True)
    (winner,) = [index for index, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    loser = asyncio.get_running_loop().create_future()
    loser.set_exception(outcomes[1 - winner])
    assert_refused(await refusal(loser), ABORTED, "CONCURRENT_CHANGE", says=[_ID])
    expected = world.expected[("spare", "sentiment")[winner]]
    expected.assert_answered(0, (await world.classify(_ID)).results[0])
    await world.unload(_ID)


async def _loaded_while_unloading(world: World) -> None:
    await world.load(_ID, world.root / "spare")
    async with world.harness.occupied(lambda: world.classify(_ID)):
        unloading = asyncio.ensure_future(world.unload(_ID))
        await eventually(lambda: _state(world) == "DRAINING")
        assert_refused(await refusal(world.load(_ID, world.root / "spare")), ABORTED, "CONCURRENT_CHANGE", says=[_ID])
        assert_refused(await refusal(world.unload(_ID)), ABORTED, "CONCURRENT_CHANGE", says=[_ID])
    await unloading
    assert not _is_known(world)


async def _unloaded_while_loading(world: World) -> None:
    async with world.harness.occupied(world.embed):
        loading = asyncio.ensure_future(world.load(_ID, world.root / "spare"))
        await eventually(lambda: _is_known(world))
        assert_refused(await refusal(world.unload(_ID)), ABORTED, "CONCURRENT_CHANGE", says=[_ID])
    await loading
    assert "READY" == _state(world)
    await world.unload(_ID)


async def _unknown_unloaded(world: World) -> None:
    assert_refused(await refusal(world.unload("nothing")), grpc.StatusCode.NOT_FOUND, "ADAPTER_NOT_FOUND")


async def _drain_that_takes_too_long(world: World) -> None:
    await world.load(_ID, world.root / "spare")
    async with world.harness.occupied(lambda: world.classify(_ID)):
        error = await refusal(world.unload(_ID, drain_timeout={"nanos": 1_000_000}))
        assert_refused(error, grpc.StatusCode.DEADLINE_EXCEEDED, "DRAIN_TIMEOUT", says=["DRAINING"])
        assert "DRAINING" == _state(world)
    await world.unload(_ID)


async def _forced_while_others_wait(world: World) -> None:
    await world.load(_ID, world.root / "spare")
    async with world.harness.occupied(lambda: world.classify(_ID)):
        waiting = asyncio.ensure_future(refusal(world.classify(_ID)))
        other = asyncio.ensure_future(world.tag())
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == 2)
        unloading = asyncio.ensure_future(world.unload(_ID, force=True))
        assert_refused(await waiting, ABORTED, "ADAPTER_UNLOADED", says=[_ID])
    await unloading
    world.expected["pos"].assert_answered(0, (await other).results[0])
    assert not _is_known(world)


def _is_known(world: World) -> bool:
    return any(_ID == record.id for record in world.harness.registry.list())


def _state(world: World) -> str:
    return world.harness.registry.get(_ID).state.value


CASES = [
    Case(2, "asked-while-loading", _asked_while_loading, inside=True),
    Case(2, "asked-when-failed", _asked_when_failed),
    Case(2, "asked-while-draining", _asked_while_draining, inside=True),
    Case(21, "loaded-twice-at-once", _loaded_twice_at_once),
    Case(21, "loaded-while-unloading", _loaded_while_unloading, inside=True),
    Case(21, "unloaded-while-loading", _unloaded_while_loading, inside=True),
    Case(21, "unknown-unloaded", _unknown_unloaded),
    Case(21, "drain-takes-too-long", _drain_that_takes_too_long, inside=True),
    Case(21, "forced-while-others-wait", _forced_while_others_wait, inside=True),
]
