"""What is done beside requests: those asked for most are brought up ahead of them, the room is filled after a start,
old contents are removed; and nothing that fails there ends it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adaptermux_server.adapters import upkeep
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.adapters.upkeep import Upkeep
from tests.adapters.rig import BROKEN, Rig, turn, until_settled

WEEK = 7 * 86400.0


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """With `x`, `y` and `z`, of which two fit the engine: `x` is in host memory."""
    rig = Rig(tmp_path, TierLimits(device_adapters=2))
    for adapter_id, content in zip("xyz", "abc", strict=True):
        await rig.load(adapter_id, content)
    yield rig
    await rig.close()
    rig.assert_consistent()


def here(rig: Rig) -> str:
    """The ids in the engine."""
    return "".join(sorted(rig.registry.ids_by_slot().values()))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (what is waited for has no event)
            await asyncio.sleep(0.001)


async def ask(rig: Rig, adapter_ids: str) -> None:
    for adapter_id in adapter_ids:
        await rig.answer(adapter_id)


def pretend_asked(rig: Rig, adapter_id: str, times: int) -> None:
    with rig.registry.lease(adapter_id) as served:
        for _ in range(times):
            rig.tiers.demand.note([served], asyncio.get_running_loop().time())


async def test_one_asked_for_much_more_than_the_next_to_leave_takes_its_place(rig: Rig) -> None:
    pretend_asked(rig, "x", 3)
    pretend_asked(rig, "y", 1)

    moved = await rig.control.upkeep.prefetch_once()

    assert (1, "xz") == (moved, here(rig))
    assert (1, 0) == (rig.tiers.counts.prefetches, rig.tiers.counts.host_misses)


async def test_one_asked_for_little_more_stays_out(rig: Rig) -> None:
    """Two that are about as busy would else take turns for ever."""
    pretend_asked(rig, "x", 2)
    pretend_asked(rig, "y", 1)

    assert (0, "yz") == (await rig.control.upkeep.prefetch_once(), here(rig))


async def test_what_nobody_asked_for_stays_out_though_there_is_room(rig: Rig) -> None:
    await rig.lifecycle.unload("z")

    assert (0, "y") == (await rig.control.upkeep.prefetch_once(), here(rig))


async def test_free_room_needs_no_advantage(rig: Rig) -> None:
    await rig.lifecycle.unload("z")
    pretend_asked(rig, "x", 1)
    pretend_asked(rig, "y", 100)

    assert (1, "xy") == (await rig.control.upkeep.prefetch_once(), here(rig))


async def test_nobody_is_brought_up_where_all_in_the_engine_are_in_use(rig: Rig) -> None:
    pretend_asked(rig, "x", 9)
    with rig.registry.lease("y") as y, rig.registry.lease("z") as z:
        async with rig.tiers.holding([y, z]):
            assert 0 == await rig.control.upkeep.prefetch_once()


async def test_those_asked_for_most_come_first_and_a_few_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_MAX_PREFETCHES", 1)
    await rig.load("w", "b")
    assert "wz" == here(rig)
    pretend_asked(rig, "x", 5)
    pretend_asked(rig, "y", 6)

    assert (1, "wy") == (await rig.control.upkeep.prefetch_once(), here(rig))


async def test_one_that_a_request_brings_up_meanwhile_is_no_prefetch(rig: Rig) -> None:
    """The round begins with `x`; while it comes, a request asks for `w`, which would have been next."""
    await rig.lifecycle.unload("y")
    await rig.lifecycle.unload("z")
    await rig.load("w", "b")
    with rig.registry.lease("w") as w:
        await rig.tiers.drop(w)
    pretend_asked(rig, "x", 5)
    pretend_asked(rig, "w", 2)
    rig.model.gates["install"].hold()
    prefetching = asyncio.create_task(rig.control.upkeep.prefetch_once())
    await rig.model.gates["install"].entered.wait()
    asking = asyncio.create_task(rig.answer("w"))
    await turn()
    rig.model.gates["install"].open.set()

    assert (1, "wx") == (await prefetching, here(rig) if await asking else "")
    assert 1 == rig.tiers.counts.prefetches


async def test_an_earlier_revision_is_not_brought_up_and_is_in_nobodys_way(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that name it bring it up; that it was busy while it served says nothing of the time to come."""
    monkeypatch.setattr(upkeep, "_MAX_PREFETCHES", 1)
    earlier = rig.registry.get("x").revision
    await rig.load("x", "c")
    await until_settled(rig)
    assert "xz" == here(rig)
    pretend_asked(rig, f"x@{earlier}", 9)
    pretend_asked(rig, "y", 3)

    assert (1, "xy") == (await rig.control.upkeep.prefetch_once(), here(rig))


async def test_what_is_unloaded_is_forgotten(rig: Rig) -> None:
    pretend_asked(rig, "x", 9)
    await rig.lifecycle.unload("x")

    assert (0, "yz", []) == (await rig.control.upkeep.prefetch_once(), here(rig), rig.tiers.demand.known())


@pytest.mark.parametrize("error", [BROKEN, RuntimeError("out of memory")])
async def test_one_that_cannot_be_moved_is_not_tried_again_and_does_not_hold_up_the_next(
    rig: Rig, error: Exception
) -> None:
    await rig.lifecycle.unload("z")
    await rig.load("w", "c")
    with rig.registry.lease("w") as w:
        await rig.tiers.drop(w)
    for adapter_id, times in (("x", 5), ("w", 4)):
        pretend_asked(rig, adapter_id, times)
    rig.model.failures["install"] = error

    failed = await rig.control.upkeep.prefetch_once()
    rig.model.failures.clear()

    assert (0, 0) == (failed, await rig.control.upkeep.prefetch_once())
    assert "y" == here(rig)
    pretend_asked(rig, "x", 1)
    assert 1 == await rig.control.upkeep.prefetch_once()


async def test_bringing_one_up_ahead_keeps_it_from_being_unloaded_meanwhile(rig: Rig) -> None:
    pretend_asked(rig, "x", 9)
    rig.model.gates["install"].hold()
    prefetching = asyncio.create_task(rig.control.upkeep.prefetch_once())
    await rig.model.gates["install"].entered.wait()
    unloading = asyncio.create_task(rig.lifecycle.unload("x"))
    await turn()
    assert not unloading.done()

    rig.model.gates["install"].open.set()
    await asyncio.gather(prefetching, unloading)

    assert "z" == here(rig)


async def test_rounds_are_made_until_the_end(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_PREFETCH_SECONDS", 0.0)
    rig.control.upkeep.start()
    rig.model.failures["install"] = RuntimeError("out of memory")
    pretend_asked(rig, "x", 9)
    await until(lambda: not rig.tiers.demand.known())
    assert "z" == here(rig)
    rig.model.failures.clear()

    pretend_asked(rig, "x", 9)

    await until(lambda: here(rig) == "xz")
    await rig.control.upkeep.close()
    pretend_asked(rig, "y", 99)
    await turn()
    assert "xz" == here(rig)


async def test_after_a_start_the_room_is_filled_and_nobody_leaves_for_it(rig: Rig) -> None:
    rig.limits = TierLimits(device_adapters=2)
    await rig.restart()
    assert "" == here(rig)

    rig.control.upkeep.start()
    await until(lambda: len(here(rig)) == 2)
    await until_settled(rig)

    assert (2, 0) == (len(here(rig)), rig.tiers.counts.evictions)
    assert 0 == rig.tiers.counts.prefetches


async def test_warming_goes_on_past_one_that_is_there_and_one_that_fails(rig: Rig) -> None:
    """It is no use of what it brings up, nor of what was there: `z` is the one used longest ago."""
    rig.limits = None
    await rig.restart()
    await ask(rig, "z")
    with rig.registry.lease("y") as y:
        (rig.catalog.folder(y.revision) / "adapter_config.json").unlink()
    rig.now = 200.0

    await asyncio.wait_for(rig.control.upkeep._warm(), 10)

    assert "xz" == here(rig)
    assert (None, 100.0) == (rig.registry.get("x").last_used_time, rig.registry.get("z").last_used_time)
    next_to_leave = rig.tiers.next_to_leave()
    assert next_to_leave is not None
    assert "z" == next_to_leave.id


async def test_contents_that_nothing_has_are_removed_once_they_are_old(rig: Rig) -> None:
    revision = (await rig.lifecycle.unload("x")).revision
    added_at = await rig.catalog.call(rig.catalog._store.database.unused_revisions)
    (when,) = (it.added_at for it in added_at if it.digest == revision)

    def removed(now: float) -> "asyncio.Task[int]":
        late = Upkeep(rig.registry, rig.tiers, rig.catalog, WEEK, clock=lambda: now)
        return asyncio.create_task(late.sweep_once())

    assert (0, True) == (await removed(when + WEEK), rig.catalog.has(revision))
    assert (1, False) == (await removed(when + WEEK + 1), rig.catalog.has(revision))


async def test_a_sweep_that_fails_is_made_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_SWEEP_SECONDS", 0.0)
    times = 0
    made_again = asyncio.Event()

    async def failing(_: float) -> int:
        nonlocal times
        times += 1
        if times == 3:
            made_again.set()
        raise BROKEN if times == 1 else PermissionError("a folder isn't ours")

    monkeypatch.setattr(type(rig.catalog), "collect_older", lambda _, before: failing(before))
    rig.control.upkeep.start()

    await asyncio.wait_for(made_again.wait(), 10)
