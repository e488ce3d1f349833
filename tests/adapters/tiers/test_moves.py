"""Moves that fail, adapters that are new or dropped while others move, and the end of it all."""

import asyncio
import logging

import pytest

from adaptermux_server.adapters.served import ServingOptions
from adaptermux_server.errors import MemoryFullError, ShuttingDownError, StoreUnavailableError
from adaptermux_server.types import ExecutorKind, Tier
from tests.adapters.tiers.world import BROKEN, NewWorld, Prepared, turns


async def test_a_failed_load_is_the_answer_to_all_who_wait_and_gives_its_room_back(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    failing, waiting = [world.ask("a"), world.ask("a")], world.ask("b")
    await turns(3)

    world.finish_load(world["a"], BROKEN)
    await world.work()

    assert [BROKEN, BROKEN] == [request.task.exception() for request in failing]
    assert (True, {"a": Tier.DISK, "b": Tier.DEVICE}) == (waiting.holds, world.where())
    await waiting.finish()


async def test_a_request_fails_with_the_first_of_its_adapters_and_holds_none_of_them(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1)
    held = await world.asked("c")
    request = world.ask("abc")
    await turns(3)

    world.finish_load(world["b"], BROKEN)
    await turns(5)

    assert (BROKEN, [0, 0, 1]) == (request.task.exception(), [it.num_holds for it in world.adapters.values()])
    await held.finish()


async def test_after_a_failed_install_the_next_request_tries_again_in_another_slot(new_world: NewWorld) -> None:
    world = new_world(1, device_adapters=1)
    failing = world.ask("a")
    await turns(3)
    world.finish_load(world["a"])
    await turns(3)

    world.engine.step(error=RuntimeError("out of memory"))
    with pytest.raises(RuntimeError):
        await failing.task
    assert (world.queue.slots, world["a"].slot) == ({}, None)
    request = await world.asked("a")

    assert (2,) == request.slots
    await request.finish()


async def test_one_from_the_host_whose_install_fails_stays_there(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=2)
    await world.use("a")
    world.tiers._moves.evict(world["a"])
    await world.work()
    failing = world.ask("a")
    await turns(3)

    world.engine.step(error=BROKEN)
    with pytest.raises(StoreUnavailableError):
        await failing.task
    assert Tier.HOST is world["a"].tier
    await world.use("a")

    assert ["a"] == world.loaded


async def test_a_failed_eviction_frees_the_slot_and_leaves_the_adapter_to_the_disk(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    await world.use("a")
    request = world.ask("b")
    await turns(3)

    world.engine.step(error=RuntimeError("out of memory"))
    await world.work()

    assert (True, {"a": Tier.DISK, "b": Tier.DEVICE}) == (request.holds, world.where())
    assert {2} == set(world.queue.slots)
    await request.finish()


@pytest.mark.parametrize(("error", "is_logged"), [(RuntimeError("a bug"), True), (BROKEN, False)])
async def test_unexpected_failures_are_logged_though_nobody_waits(
    new_world: NewWorld, caplog: pytest.LogCaptureFixture, error: Exception, is_logged: bool
) -> None:
    world = new_world(1)
    request = world.ask("a")
    await turns(3)
    request.task.cancel()
    await turns(3)

    world.finish_load(world["a"], error)
    await turns(5)

    assert is_logged is (error in [record.exc_info[1] for record in caplog.records if record.exc_info])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and not is_logged]


async def test_a_new_adapter_comes_in_as_it_was_prepared(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1, host_bytes=0)
    await world.use("a")

    admitting = asyncio.create_task(world.tiers.admit(world["b"], Prepared(world["b"].spec, "b")))
    await world.work()
    await admitting

    assert (world.here, ["a"]) == ("b", world.loaded)


async def test_a_new_adapter_that_does_not_fit_leaves_nothing_behind(new_world: NewWorld) -> None:
    world = new_world(2, device_bytes=1)

    with pytest.raises(MemoryFullError):
        await world.tiers.admit(world["a"], Prepared(world["a"].spec, "a"))


async def test_a_dropped_adapter_is_in_no_memory(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    await world.use("a", "b")

    drops = [asyncio.create_task(world.tiers.drop(world[name])) for name in "ab"]
    await world.work()
    await asyncio.gather(*drops)

    assert ("", {"a": Tier.DISK, "b": Tier.DISK}) == (world.here, world.where())
    assert 0 == world.tiers.host_bytes


async def test_a_drop_waits_until_the_adapter_has_come_or_gone(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=2)
    await world.use("a")
    world.tiers._moves.evict(world["a"])
    coming = world.ask("b")
    await turns(3)
    coming.task.cancel()

    drops = [asyncio.create_task(world.tiers.drop(world[name])) for name in "ab"]
    await world.work()
    await asyncio.gather(*drops)

    assert ("", {"a": Tier.DISK, "b": Tier.DISK}) == (world.here, world.where())


async def test_a_drop_waits_for_one_that_comes_and_goes_at_once(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    coming, waiting = world.ask("a"), world.ask("b")
    await turns(3)
    coming.task.cancel()
    await turns(3)

    dropping = asyncio.create_task(world.tiers.drop(world["a"]))
    await world.work()
    await dropping

    assert ("b", Tier.DISK, ["install a", "evict a", "install b"]) == (world.here, world["a"].tier, world.engine.log)
    await waiting.finish()


async def test_a_drop_leaves_what_somebody_holds(new_world: NewWorld) -> None:
    world = new_world(1)
    held = await world.asked("a")

    await world.tiers.drop(world["a"])

    assert (world.here, (1,)) == ("a", held.slots)
    await held.finish()


async def test_the_room_of_a_dropped_adapter_goes_to_the_line_after_the_drop(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("a")
    await world.use("b")
    world["b"].options = ServingOptions(pinned=True)
    waiting = world.ask("c")
    await turns(3)

    dropping = asyncio.create_task(world.tiers.drop(world["b"]))
    await world.work()
    await dropping

    assert (["remove b", "install c"], True) == (world.engine.log[-2:], waiting.holds)
    await waiting.finish()
    await held.finish()


async def test_one_asked_for_while_it_is_dropped_comes_anew(new_world: NewWorld) -> None:
    world = new_world(1)
    await world.use("a")
    dropping = asyncio.create_task(world.tiers.drop(world["a"]))
    await turns(2)

    request = await world.asked("a")
    await dropping

    assert (["install a", "remove a", "install a"], (2,)) == (world.engine.log, request.slots)
    await request.finish()


async def test_a_failed_drop_frees_the_slot_all_the_same(new_world: NewWorld) -> None:
    world = new_world(1)
    await world.use("a")
    dropping = asyncio.create_task(world.tiers.drop(world["a"]))
    await turns(2)
    request = world.ask("a")
    await turns(3)

    world.engine.step(error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        await dropping
    await world.work()

    assert ((2,), {2}, ["a", "a"]) == (request.slots, set(world.queue.slots), world.loaded)
    await request.finish()


async def test_a_drop_whose_caller_is_cancelled_goes_on(new_world: NewWorld) -> None:
    world = new_world(1)
    await world.use("a")
    dropping = asyncio.create_task(world.tiers.drop(world["a"]))
    await turns(2)

    dropping.cancel()
    await turns(3)
    assert {1} == set(world.queue.slots)
    await world.work()

    assert ("", Tier.DISK) == (world.here, world["a"].tier)


async def test_options_that_change_while_an_adapter_comes_are_those_that_hold(new_world: NewWorld) -> None:
    world = new_world(1)
    request = world.ask("a")
    await turns(3)
    world.finish_load(world["a"])
    await turns(3)
    world["a"].options = ServingOptions(weight=3.0, max_wait_seconds=2.0)
    world.tiers.configure(world["a"])
    assert {} == world.queue.slots

    await world.work()

    assert {1: ("a", 3.0, 2.0, ExecutorKind.BANK)} == world.queue.slots
    await request.finish()


async def test_options_of_an_adapter_in_the_engine_are_passed_on(new_world: NewWorld) -> None:
    world = new_world(1)
    await world.use("a")
    world["a"].options = ServingOptions(weight=3.0)

    world.tiers.configure(world["a"])

    assert {1: ("a", 3.0, None, ExecutorKind.BANK)} == world.queue.slots


async def test_closing_answers_all_who_wait_and_those_who_come_later(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("a")
    arriving, unbegun, waiting = world.ask("b"), world.ask("b"), world.ask("c")
    await asyncio.sleep(0)

    await world.tiers.close()
    late = world.ask("b")
    await turns(5)
    world.loads.clear()

    for request in (arriving, unbegun, waiting, late):
        assert isinstance(request.task.exception(), ShuttingDownError)
    assert (world.here, True) == ("a", held.holds)
    await held.finish()
