"""Unloads while requests are in flight, and the end of it all (contract row 21)."""

import asyncio
from contextlib import ExitStack

import pytest

from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AdapterUnloadedError,
    BaseMismatchError,
    ConcurrentChangeError,
    DrainTimeoutError,
    InvalidRequestError,
    ShuttingDownError,
)
from adaptermux_server.types import AdapterState
from tests.adapters.rig import BROKEN, Rig, turn, until_settled


async def test_row_21_a_load_during_an_unload_is_refused_and_the_unload_ends_well(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        unloading = asyncio.create_task(rig.lifecycle.unload("x"))
        await turn()

        for change in (rig.load("x", "b"), rig.lifecycle.unload("x")):
            with pytest.raises(ConcurrentChangeError):
                await change

    assert AdapterState.UNLOADED is (await unloading).state
    assert rig.registry.list() == []


async def test_an_unload_refuses_new_requests_and_waits_for_those_in_flight(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        unloading = asyncio.create_task(rig.lifecycle.unload("x"))
        await turn()

        with pytest.raises(AdapterNotReadyError, match="DRAINING"):
            rig.registry.lease("x")
        assert {1} == set(rig.model.slots)
        assert not unloading.done()

    record = await unloading
    assert (record.state, record.last_used_time) == (AdapterState.UNLOADED, 100.0)
    assert (rig.model.slots, rig.queue.slots) == ({}, {})
    with pytest.raises(AdapterNotFoundError):
        rig.registry.get("x")


async def test_an_unload_that_runs_out_of_time_leaves_the_adapter_draining_and_can_be_repeated(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        with pytest.raises(DrainTimeoutError) as caught:
            await rig.lifecycle.unload("x", 0)
        with pytest.raises(DrainTimeoutError):
            await rig.lifecycle.unload("x", 0)
        assert AdapterState.DRAINING is rig.registry.get("x").state

    assert caught.value.metadata["in_flight"] == "1"
    assert AdapterState.UNLOADED is (await rig.lifecycle.unload("x")).state


async def test_force_fails_what_waits_and_still_waits_for_what_is_computed(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        unloading = asyncio.create_task(rig.lifecycle.unload("x", force=True))
        await turn()

        assert [(1, AdapterUnloadedError)] == [(slot, type(error)) for slot, error in rig.queue.failed]
        assert not unloading.done()

    assert AdapterState.UNLOADED is (await unloading).state


async def test_an_unload_waits_for_earlier_revisions_too(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        await rig.load("x", "b")
        unloading = asyncio.create_task(rig.lifecycle.unload("x", force=True))
        await rig.model.gates["remove"].entered.wait()
        await turn()

        assert {slot for slot, _ in rig.queue.failed} == {1, 2}
        assert not unloading.done()

    await unloading
    assert rig.model.slots == {}


async def test_a_draining_adapter_may_be_loaded_again(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        with pytest.raises(DrainTimeoutError):
            await rig.lifecycle.unload("x", 0)
        record = await rig.load()

        assert AdapterState.READY is record.state
        assert rig.slot() == 2

    await until_settled(rig)
    assert {2} == set(rig.model.slots)


async def test_a_failed_load_leaves_a_draining_adapter_draining(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        with pytest.raises(DrainTimeoutError):
            await rig.lifecycle.unload("x", 0)
        rig.model.failures["install"] = BROKEN
        with pytest.raises(BaseMismatchError):
            await rig.load("x", "b")

    assert AdapterState.DRAINING is rig.registry.get("x").state


async def test_unloading_a_failed_adapter_forgets_it(rig: Rig) -> None:
    rig.model.failures["prepare"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load()

    record = await rig.lifecycle.unload("x")

    assert (record.state, record.error) == (AdapterState.UNLOADED, BROKEN)
    assert rig.registry.list() == []


async def test_an_unload_whose_removal_fails_can_be_repeated(rig: Rig) -> None:
    await rig.load()
    rig.model.failures["remove"] = RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await rig.lifecycle.unload("x")
    state = rig.registry.get("x").state
    rig.assert_consistent()
    rig.model.failures.clear()
    await rig.lifecycle.unload("x")

    assert AdapterState.DRAINING is state
    assert rig.model.slots == {}


@pytest.mark.parametrize("adapter_id", ["", "X", "../x", "base"])
async def test_row_3_an_unload_of_a_malformed_id_is_an_invalid_request(rig: Rig, adapter_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        await rig.lifecycle.unload(adapter_id)


@pytest.mark.parametrize("seconds", [-1.0, 3601.0, float("nan")])
async def test_a_drain_time_out_of_range_is_an_invalid_request(rig: Rig, seconds: float) -> None:
    await rig.load()

    with pytest.raises(InvalidRequestError, match="drain_timeout"):
        await rig.lifecycle.unload("x", seconds)

    assert rig.slot() == 1


async def test_an_unload_of_an_unknown_id_is_not_found(rig: Rig) -> None:
    await rig.load("sentiment")

    with pytest.raises(AdapterNotFoundError, match="sentiment"):
        await rig.lifecycle.unload("sentimen")


async def test_an_unload_whose_call_is_cancelled_runs_to_its_end(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        unloading = asyncio.create_task(rig.lifecycle.unload("x"))
        await turn()
        unloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await unloading
    await until_settled(rig)

    assert rig.registry.list() == []


async def test_closing_ends_what_is_under_way_and_refuses_the_rest(rig: Rig) -> None:
    await rig.load("y")
    rig.model.gates["install"].hold()
    loading = rig.start("x", "b")
    await rig.model.gates["install"].entered.wait()
    with rig.registry.lease("y"):
        unloading = asyncio.create_task(rig.lifecycle.unload("y"))
        await turn()
        await rig.control.close()

        for change in (loading, unloading, rig.load("z"), rig.lifecycle.unload("y")):
            with pytest.raises(ShuttingDownError):
                await change
    rig.assert_consistent()
    assert AdapterState.FAILED is rig.registry.get("x").state


async def test_many_loads_and_unloads_at_once_leave_no_slot_behind(rig: Rig) -> None:
    ids = [f"adapter-{index}" for index in range(8)]
    for _ in range(4):
        changes = [rig.load(adapter_id, content) for adapter_id in ids for content in "ab"]
        await asyncio.gather(*changes, return_exceptions=True)
        with ExitStack() as leases:
            for adapter_id in ids:
                leases.enter_context(rig.registry.lease(adapter_id))
            unloads = [asyncio.create_task(rig.lifecycle.unload(adapter_id)) for adapter_id in ids]
            await turn()
        await asyncio.gather(*unloads)

    assert rig.model.slots == {}
