"""Requests that wait for room: in which order they get it, whom they hold up, and how they give up."""

import asyncio

import pytest

from adaptermux_server.types import Tier
from tests.adapters.tiers.world import NewWorld, new_adapter, turns


async def test_the_line_is_served_in_order_also_where_a_later_one_would_fit(new_world: NewWorld) -> None:
    world = new_world(3, 4, 1, device_bytes=5)
    held = await world.asked("a")
    large, small = world.ask("b"), world.ask("c")
    await world.work()
    assert (False, False) == (large.holds, small.holds)

    await held.finish()
    await world.work()

    assert (True, True) == (large.holds, small.holds)
    await large.finish()
    await small.finish()


async def test_a_flood_of_hits_does_not_starve_one_that_waits_for_room(new_world: NewWorld) -> None:
    """Those who come later for what has to leave wait behind."""
    world = new_world(1, 1, device_adapters=1)
    flood = [await world.asked("a")]
    waiting = world.ask("b")
    for _ in range(3):
        flood.append(world.ask("a"))
        await world.work()
        await flood.pop(0).finish() if flood[0].holds else None
        await world.work()

    assert waiting.holds
    assert not any(request.holds for request in flood)
    await waiting.finish()
    await world.work()
    for request in flood:
        await request.finish()


async def test_hits_on_what_need_not_leave_pass_the_line(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    oldest, other = await world.asked("a"), await world.asked("b")
    waiting = world.ask("c")
    await turns(3)

    passing = world.ask("b")
    await turns(3)

    assert (True, False) == (passing.holds, waiting.holds)
    for request in (passing, oldest, other):
        await request.finish()
    await world.work()
    await waiting.finish()


async def test_those_in_line_for_what_need_not_leave_any_more_go_on(new_world: NewWorld) -> None:
    """`a` and `b` have to leave for the head; then `c` can, so that `b` may stay; `a` is waited for as before."""
    world = new_world(2, 2, 2, 4, device_bytes=6)
    oldest, older, other = await world.asked("a"), await world.asked("b"), await world.asked("c")
    head, behind = world.ask("d"), world.ask("b")
    await turns(3)
    assert (False, False) == (head.holds, behind.holds)

    await other.finish()
    await turns(3)

    assert (False, True) == (head.holds, behind.holds)
    for request in (behind, older, oldest):
        await request.finish()
    await world.work()
    await head.finish()


async def test_those_in_line_for_what_another_brings_up_join_it(new_world: NewWorld) -> None:
    """The first in line gets room for `c`; the second waits for `a` as the first did before; the third needs `c`."""
    world = new_world(1, 1, 1, 1, device_adapters=2)
    held, other = await world.asked("a"), await world.asked("b")
    first, second, third = world.ask("c"), world.ask("d"), world.ask("c")
    await world.work()

    await other.finish()
    await world.work()

    assert (True, False, True) == (first.holds, second.holds, third.holds)
    for request in (first, third, held):
        await request.finish()
    await world.work()
    await second.finish()


async def test_one_that_is_on_its_way_is_joined_past_the_line(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held, arriving, waiting = await world.asked("a"), world.ask("b"), world.ask("c")
    await turns(3)

    joining = world.ask("b")
    await world.work()

    assert (True, True, False) == (arriving.holds, joining.holds, waiting.holds)
    for request in (arriving, joining, held):
        await request.finish()
    await world.work()
    await waiting.finish()


async def test_nobody_else_is_held_up_by_a_load_from_the_disk(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    await world.use("a", "b", "c")
    assert {"a": Tier.HOST, "b": Tier.DEVICE, "c": Tier.DEVICE} == world.where()
    from_disk = new_adapter("d", 1)
    world.adapters["d"] = from_disk

    slow, hit, from_host = world.ask("d"), world.ask("c"), world.ask("a")
    await world.engine_works()
    assert (False, True, False) == (slow.holds, hit.holds, from_host.holds)
    await hit.finish()
    await world.engine_works()

    assert (False, True) == (slow.holds, from_host.holds)
    await world.work()
    await slow.finish()
    await from_host.finish()


async def test_requests_for_overlapping_sets_all_get_theirs(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("ab")

    requests = [world.ask(names) for names in ("bc", "ca", "ab", "cb")]
    await held.finish()
    order = []
    for _ in requests:
        await world.work()
        for request in [request for request in requests if request.holds]:
            order.append(requests.index(request))
            await request.finish()

    assert [0, 1, 2, 3] == sorted(order)


async def test_nobody_is_brought_up_ahead_of_requests_while_some_wait_for_room(new_world: NewWorld) -> None:
    """Not even in the place of `b`, which nobody holds: the one who waits wants it."""
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("a")
    await world.use("b")
    assert (world["b"], False) == (world.tiers.next_to_leave(), world.tiers.has_room_for(world["c"]))
    waiting = world.ask("bc")
    await turns(3)

    assert (None, False) == (world.tiers.next_to_leave(), world.tiers.has_room_for(world["b"]))
    await held.finish()
    await world.work()
    await waiting.finish()


async def test_a_cancelled_head_of_the_line_lets_the_next_go_on(new_world: NewWorld) -> None:
    world = new_world(1, 1, 1, device_adapters=2)
    held = await world.asked("a")
    await world.use("b")
    head, second = world.ask("bc"), world.ask("c")
    await turns(3)
    assert (2, False) == (len(world.tiers._line), second.holds)

    head.task.cancel()
    await world.work()

    assert (True, world.here) == (second.holds, "ac")
    await held.finish()
    await second.finish()


async def test_one_cancelled_while_its_adapter_comes_leaves_it_to_others(new_world: NewWorld) -> None:
    world = new_world(1, device_adapters=1)
    cancelled, other = world.ask("a"), world.ask("a")
    await turns(3)

    cancelled.task.cancel()
    await world.work()

    assert (["a"], True) == (world.loaded, other.holds)
    await other.finish()


async def test_what_comes_for_a_request_that_was_cancelled_may_leave_again(new_world: NewWorld) -> None:
    world = new_world(1, 1, device_adapters=1)
    cancelled = world.ask("a")
    await turns(3)
    cancelled.task.cancel()
    next_one = world.ask("b")
    await turns(3)
    assert not next_one.holds

    await world.work()

    assert (["install a", "evict a", "install b"], True) == (world.engine.log, next_one.holds)
    await next_one.finish()


@pytest.mark.parametrize("knows_of_room", [True, False])
async def test_one_cancelled_in_the_turn_in_which_it_gets_room_holds_nothing(
    new_world: NewWorld, knows_of_room: bool
) -> None:
    """Its future is cancelled at once, but it leaves the line only when its task goes on."""
    world = new_world(1, 1, device_adapters=1)
    held, waiting = await world.asked("a"), world.ask("b")
    await turns(3)

    held.let_go()
    if knows_of_room:
        asyncio.get_running_loop().call_soon(waiting.task.cancel)
    else:
        waiting.task.cancel()
    await world.work()

    assert (True, True, 0) == (held.task.done(), waiting.task.cancelled(), world["b"].num_holds)
    assert ("b" if knows_of_room else "a") == world.here
    await held.finish()


async def test_one_cancelled_in_the_turn_in_which_it_could_pass_the_line_holds_nothing(new_world: NewWorld) -> None:
    world = new_world(2, 2, 2, 4, device_bytes=6)
    oldest, older, other = await world.asked("a"), await world.asked("b"), await world.asked("c")
    head, behind = world.ask("d"), world.ask("b")
    await turns(3)

    other.let_go()
    behind.task.cancel()
    await turns(5)

    assert (None, True, 1) == (other.task.exception(), behind.task.cancelled(), world["b"].num_holds)
    await older.finish()
    await oldest.finish()
    await world.work()
    await head.finish()
