"""Who has a place in the engine and who would have to leave; and what host memory keeps."""

import pytest

from adaptermux_server.adapters.room import DeviceRoom, HostCache, TierLimits
from adaptermux_server.adapters.served import ServedAdapter, ServingOptions
from adaptermux_server.types import Tier
from tests.adapters.tiers.world import Prepared, new_adapter


def adapters(*sizes: int) -> list[ServedAdapter]:
    """In the engine, as far as they know."""
    made = [new_adapter(f"adapter {number}", size) for number, size in enumerate(sizes)]
    for slot, served in enumerate(made, start=1):
        served.slot = slot
    return made


def room(held: list[ServedAdapter], **limits: int) -> DeviceRoom:
    made = DeviceRoom(TierLimits(**limits))
    for served in held:
        made.put(served)
    return made


@pytest.mark.parametrize(
    ("limits", "num_leavers"),
    [
        ({}, 0),
        ({"device_adapters": 4}, 0),
        ({"device_adapters": 3}, 1),
        ({"device_adapters": 1}, 3),
        ({"device_bytes": 10}, 0),
        ({"device_bytes": 9}, 1),
        ({"device_bytes": 4}, 3),
        ({"device_adapters": 3, "device_bytes": 5}, 3),
    ],
)
def test_as_many_leave_as_the_limits_ask_for_those_used_longest_ago_first(
    limits: dict[str, int], num_leavers: int
) -> None:
    first, second, third, new = adapters(1, 2, 3, 4)

    leavers = room([first, second, third], **limits).leavers([new])

    assert [first, second, third][:num_leavers] == leavers


def test_a_use_moves_one_to_the_end() -> None:
    first, second, new = adapters(1, 1, 1)
    held = room([first, second], device_adapters=2)

    held.touch(first)
    held.put(first)

    assert ([second], second) == (held.leavers([new]), held.first_to_leave())


def test_those_that_must_be_waited_for_come_last() -> None:
    held, arriving, free, new = adapters(1, 1, 1, 1)
    held.num_holds, arriving.slot = 1, None

    some = room([held, arriving, free], device_adapters=1)

    assert [free, held, arriving] == some.leavers([new])
    assert free is some.first_to_leave()


def test_nobody_is_first_to_leave_where_all_must_be_waited_for() -> None:
    (held,) = adapters(1)
    held.num_holds = 1

    assert room([held]).first_to_leave() is None
    assert room([]).first_to_leave() is None


def test_pinned_ones_and_those_that_are_wanted_do_not_leave() -> None:
    pinned, wanted, new = adapters(1, 1, 1)
    pinned.options = ServingOptions(pinned=True)

    some = room([pinned, wanted], device_adapters=2)

    assert (None, [wanted]) == (some.leavers([wanted, new]), some.leavers([new]))


def test_what_is_there_needs_no_room() -> None:
    (here,) = adapters(5)
    full = room([here], device_bytes=5)

    assert ([], True) == (full.leavers([here]), full.has_room_for([here]))
    assert ([], []) == (full.missing([here]), full.leavers([]))


def test_there_is_room_only_if_nobody_has_to_leave() -> None:
    here, new = adapters(2, 3)

    assert room([here], device_bytes=5).has_room_for([new])
    assert not room([here], device_bytes=4).has_room_for([new])
    assert not room([here], device_bytes=2).has_room_for([new])


def test_bytes_are_counted_as_adapters_come_go_and_change_size() -> None:
    first, second = adapters(2, 3)
    some = room([first, second])

    first.spec = new_adapter("larger", 7).spec
    some.put(first)
    assert 10 == some.num_bytes
    some.take(first)
    some.take(first)

    assert (3, False, True) == (some.num_bytes, first in some, second in some)


def kept(cache: HostCache, *some: ServedAdapter) -> None:
    for served in some:
        cache.put(served, Prepared(served.spec, served.id))


def test_the_host_drops_what_came_first_once_it_is_over_its_limit() -> None:
    first, second, third = adapters(2, 2, 2)
    cache = HostCache(5)

    kept(cache, first, second)
    assert (4, Tier.HOST) == (cache.num_bytes, first.tier)
    kept(cache, third)

    assert (4, Tier.DISK, Tier.HOST) == (cache.num_bytes, first.tier, third.tier)
    assert (False, True, True) == (first in cache, second in cache, third in cache)


def test_a_large_one_pushes_out_as_many_as_it_must() -> None:
    first, second, third, large = adapters(2, 2, 1, 4)
    cache = HostCache(5)

    kept(cache, first, second, third, large)

    assert (5, False, False, True) == (cache.num_bytes, first in cache, second in cache, third in cache)


def test_the_host_may_be_filled_to_the_last_byte() -> None:
    first, second = adapters(2, 3)
    cache = HostCache(5)

    kept(cache, first, second)

    assert 5 == cache.num_bytes


def test_one_that_comes_again_is_kept_once_and_as_the_last_to_come() -> None:
    first, second, third = adapters(1, 1, 1)
    cache = HostCache(2)

    kept(cache, first, second, first, third)

    assert (2, False, True) == (cache.num_bytes, second in cache, first in cache)


def test_what_is_larger_than_all_the_room_of_the_host_is_not_kept() -> None:
    (large,) = adapters(3)
    cache = HostCache(2)

    kept(cache, large)

    assert (0, None, Tier.DISK) == (cache.num_bytes, cache.get(large), large.tier)


def test_without_a_limit_the_host_keeps_all() -> None:
    some = adapters(10**9, 10**9)
    cache = HostCache(None)

    kept(cache, *some)
    cache.take(some[0])

    assert (10**9, None, True) == (cache.num_bytes, cache.get(some[0]), cache.get(some[1]) is not None)
