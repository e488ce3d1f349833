"""Where requests find their adapters, and who leaves the engine for them."""

import pytest

from adaptermux_server.adapters.served import ServingOptions
from adaptermux_server.errors import MemoryFullError
from adaptermux_server.types import ExecutorKind, Tier, TierCounts
from tests.adapters.tiers.world import NewWorld, new_adapter, turns


async def test_an_adapter_on_the_disk_is_loaded_once_for_all_who_ask_meanwhile(new_world: NewWorld) -> None:
    world = new_world(1)

    first, second = world.ask("a"), world.ask("a")
    await world.work()

    assert ((1,), (1,)) == (first.slots, second.slots)
    assert (["a"], ["install a"]) == (world.loaded, world.engine.log)
    await first.finish()
    await second.finish()


async def test_an_adapter_in_the_engine_is_held_at_once(new_world: NewWorld) -> None:
    world = new_world(1)
    await world.use("a")

    async with world.tiers.holding([world["a"]]):
        assert world["a"].held_slot == 1
    assert ["install a"] == world.engine.log


async def test_one_asked_for_several_times_in_a_request_is_held_once(new_world: NewWorld) -> None:
    world = new_world(1, device_adapters=1)

    request = await world.asked("aaa")

    assert (1, 1) == (world["a"].num_holds, world.tiers.counts.disk_misses)
    await request.finish()


async def test_one_that_left_for_the_host_comes_back_without_a_load_into_a_new_slot(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    await world.use("a", "b")
    assert {"a": Tier.HOST, "b": Tier.DEVICE} == world.where()

    request = await world.asked("a")

    assert (3,) == request.slots
    assert (["a", "b"], {"a": Tier.DEVICE, "b": Tier.HOST}) == (world.loaded, world.where())
    await request.finish()


async def test_one_asked_for_while_it_leaves_waits_for_that_and_comes_back(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=2)
    await world.use("a")
    world.tiers._moves.evict(world["a"])

    request = await world.asked("a")

    assert (["install a", "evict a", "install a"], ["a"]) == (world.engine.log, world.loaded)
    await request.finish()


async def test_a_request_without_adapters_holds_nothing_and_waits_for_nobody(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    held = await world.asked("a")
    waiting = world.ask("b")
    await turns(3)

    async with world.tiers.holding([]):
        pass
    await held.finish()
    await world.work()
    await waiting.finish()


async def test_tiers_are_counted_by_where_requests_found_their_adapters(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)

    await world.use("a", "b", "a", "c", "ab")

    assert TierCounts(hits=2, host_misses=1, disk_misses=3, evictions=2) == world.tiers.counts


async def test_the_one_used_longest_ago_leaves_before_the_room_is_used(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)

    await world.use("a", "b", "a", "c")

    assert ["install a", "install b", "evict b", "install c"] == world.engine.log


async def test_a_large_one_takes_the_room_of_as_many_as_it_needs_and_no_more(new_world: NewWorld) -> None:
    world = new_world(2, 2, 2, 4, device_bytes=7)
    await world.use("a", "b", "c")

    await world.use("d")

    assert world.here == "cd"


async def test_limits_may_be_filled_to_the_last_byte_and_place(new_world: NewWorld) -> None:
    world = new_world(3, 4, device_adapters=2, device_bytes=7)

    await world.use("a", "b", "ab")

    assert (world.here, 0) == ("ab", world.tiers.counts.evictions)


async def test_a_held_one_is_waited_for(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    held = await world.asked("a")
    waiting = world.ask("b")
    await world.work()
    assert (world.here, (1,), False) == ("a", held.slots, waiting.holds)

    await held.finish()
    await world.work()

    assert (world.here, True) == ("b", waiting.holds)
    await waiting.finish()


async def test_one_that_is_held_stays_where_others_can_leave(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("a")
    await world.use("b")

    await world.use("c", "b", "c")

    assert (world.here, (1,)) == ("ac", held.slots)
    await held.finish()


async def test_pinned_ones_stay_though_they_were_used_longest_ago(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    world.pin("a")
    await world.work()

    await world.use("b", "c", "b")

    assert ["install a", "install b", "evict b", "install c", "evict c", "install b"] == world.engine.log


async def test_what_cannot_fit_beside_the_pinned_is_refused_at_once(new_world: NewWorld) -> None:
    world = new_world(3, 4, 5, device_bytes=7)
    world.pin("a")
    held = world.ask("b")
    await world.work()

    with pytest.raises(MemoryFullError) as caught:
        await world.ask("bc").task

    assert {"needed_bytes": "5", "limit_bytes": "7"}.items() <= dict(caught.value.metadata).items()
    assert held.holds
    await held.finish()


async def test_a_request_for_more_than_there_ever_is_room_for_is_refused(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    await world.use("a", "b")

    with pytest.raises(MemoryFullError) as caught:
        await world.ask("abc").task

    assert ("0", "ab") == (dict(caught.value.metadata)["limit_bytes"], world.here)


async def test_pinned_ones_that_are_wanted_are_no_obstacle(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    world.pin("a")
    await world.work()
    await world.use("b")

    await world.use("ac")

    assert world.here == "ac"


async def test_one_that_waits_is_refused_once_a_pin_takes_its_room(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    held, waiting = await world.asked("a"), world.ask("b")
    await turns(3)

    world["a"].options = ServingOptions(pinned=True)
    await held.finish()

    with pytest.raises(MemoryFullError):
        await waiting.task


async def test_room_that_an_unpinned_one_gives_free_goes_to_the_line(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    world.pin("a")
    held = await world.asked("b")
    waiting = world.ask("c")
    await world.work()
    assert not waiting.holds

    await world.pin("a", False)
    await world.work()

    assert (world.here, True) == ("bc", waiting.holds)
    await held.finish()
    await waiting.finish()


async def test_the_host_keeps_what_left_last_as_far_as_it_has_room(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, 1, device_adapters=1, host_bytes=2)

    await world.use("a", "b", "c", "d")

    assert {"a": Tier.DISK, "b": Tier.HOST, "c": Tier.HOST, "d": Tier.DEVICE} == world.where()


async def test_one_larger_than_the_host_tier_pushes_nobody_out_for_good(new_world: NewWorld) -> None:
    world = new_world(1, 3, 1, device_bytes=3, host_bytes=2)

    await world.use("b", "a", "c")

    assert (Tier.DISK, 0) == (world["b"].tier, world.tiers.host_bytes)


async def test_one_that_cannot_be_installed_again_is_read_anew(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    world.adapters["a"] = new_adapter("a", 1, ExecutorKind.SWITCH)
    await world.use("a", "b")
    assert Tier.DISK is world["a"].tier

    await world.use("a")

    assert ["a", "b", "a"] == world.loaded
