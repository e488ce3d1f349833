"""Options that change while an adapter serves: at once, durably, and without a touch to anything else."""

import asyncio
from typing import Any

import pytest

from adaptermux_server.adapters.options import OptionsChange
from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    BaseMismatchError,
    ConcurrentChangeError,
    DrainTimeoutError,
    InvalidRequestError,
    MemoryFullError,
    ShuttingDownError,
    StoreFullError,
)
from adaptermux_server.types import AdapterState, ExecutorKind, Tier
from tests.adapters.rig import BROKEN, Rig, failing, gated, turn, until_settled

BANK = ExecutorKind.BANK


def options_of(rig: Rig, adapter_id: str = "x") -> tuple[object, ...]:
    record = rig.registry.get(adapter_id)
    return record.weight, record.max_wait_seconds, record.pinned, dict(record.metadata)


async def test_each_option_changes_alone_and_at_once(rig: Rig) -> None:
    await rig.load(weight=2.0, max_wait_seconds=3.0, metadata={"a": "b"})

    assert (4.0, 3.0, False, {"a": "b"}) == ((await rig.update(weight=4.0)).weight, *options_of(rig)[1:])
    await rig.update(max_wait_seconds=None)
    assert (4.0, 0.25, False, {"a": "b"}) == options_of(rig)
    await rig.update(pinned=True)
    assert (4.0, 0.25, True, {"a": "b"}) == options_of(rig)
    await rig.update(metadata={"c": "d"}, weight=5.0)
    assert (5.0, 0.25, True, {"c": "d"}) == options_of(rig)
    assert {1: ("x", 5.0, None, BANK)} == rig.queue.slots


async def test_a_change_is_durable_and_touches_nothing_else(rig: Rig) -> None:
    await rig.load("x", "a")
    before = await rig.load("x", "b", labels=("no", "perhaps", "yes"))
    rig.now = 300.0
    with rig.registry.lease("x") as held:
        after = await rig.update(weight=9.0, metadata={"team": "search"})

        assert rig.slot() == held.slot

    kept = ("revision", "uri", "spec", "load_time", "earlier_revisions", "state")
    assert [getattr(before, name) for name in kept] == [getattr(after, name) for name in kept]
    await rig.restart()
    assert (9.0, 0.25, False, {"team": "search"}) == options_of(rig)
    assert (before.revision, before.spec) == (rig.registry.get("x").revision, rig.registry.get("x").spec)


async def test_options_hold_for_earlier_revisions_too_but_for_the_pin(rig: Rig) -> None:
    old = (await rig.load("x", "a")).revision
    await rig.load("x", "b")
    await until_settled(rig)
    await rig.answer(f"x@{old}")

    await rig.update(weight=6.0, pinned=True)

    assert {("x", 6.0, None, BANK)} == set(rig.queue.slots.values())
    assert 2 == len(rig.queue.slots)
    assert [False] == [served.options.pinned for served in rig.registry.entry("x").earlier]


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"weight": 0.0}, ["adapter.weight"]),
        ({"weight": float("nan")}, ["adapter.weight"]),
        ({"weight": 1001.0, "max_wait_seconds": -1.0}, ["adapter.weight", "adapter.max_wait"]),
        ({"max_wait_seconds": 3601.0}, ["adapter.max_wait"]),
        ({"metadata": {"A": "b"}}, ["adapter.metadata"]),
        ({"metadata": {"a": "b" * 257}}, ["adapter.metadata[a]"]),
        ({"metadata": {str(number): "" for number in range(65)}}, ["adapter.metadata"]),
    ],
)
async def test_wrong_values_are_refused_by_field(values: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        OptionsChange(values)

    assert fields == [field for field, _ in caught.value.violations]


async def test_only_what_serves_can_be_changed(rig: Rig) -> None:
    await rig.load("failed")
    rig.model.failures["prepare"] = BROKEN
    await rig.lifecycle.unload("failed")
    with pytest.raises(BaseMismatchError):
        await rig.load("failed")
    rig.model.failures.clear()
    await rig.load("draining")
    with rig.registry.lease("draining"):
        with pytest.raises(DrainTimeoutError):
            await rig.lifecycle.unload("draining", 0)

        for adapter_id in ("failed", "draining"):
            with pytest.raises(AdapterNotReadyError, match=adapter_id.upper()):
                await rig.update(adapter_id, weight=2.0)
        with pytest.raises(AdapterNotFoundError):
            await rig.update("unknown", weight=2.0)
        with pytest.raises(InvalidRequestError, match=r"adapter\.id"):
            await rig.update("base", weight=2.0)


async def test_of_a_change_and_a_load_at_once_the_second_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.load()
    rig.model.gates["prepare"].hold()
    loading = rig.start("x", "b")
    await rig.model.gates["prepare"].entered.wait()
    with pytest.raises(ConcurrentChangeError):
        await rig.update(weight=2.0)
    rig.model.gates["prepare"].open.set()
    revision = (await loading).revision

    storing = gated(monkeypatch, rig.catalog, "put_adapter")
    changing = asyncio.create_task(rig.update(weight=2.0))
    await storing.entered.wait()
    for change in (rig.load("x", "a"), rig.lifecycle.unload("x"), rig.update(weight=3.0)):
        with pytest.raises(ConcurrentChangeError):
            await change
    storing.open.set()

    assert (2.0, revision) == ((await changing).weight, (await changing).revision)


async def test_a_pin_brings_the_adapter_into_the_engine_for_good(tmp_path: Any) -> None:
    rig = Rig(tmp_path, TierLimits(device_adapters=1))
    await rig.load("x", "a")
    await rig.load("y", "b")
    await rig.tiers.settle()
    assert Tier.HOST is rig.registry.get("x").tier

    pinned = await rig.update("x", pinned=True)
    with pytest.raises(MemoryFullError):
        await rig.answer("y")
    with pytest.raises(MemoryFullError):
        await rig.update("y", pinned=True, weight=3.0)

    assert Tier.DEVICE is pinned.tier
    assert (1.0, 0.25, False, {}) == options_of(rig, "y")
    await rig.restart()
    assert (1.0, 0.25, False, {}) == options_of(rig, "y")
    await rig.update("x", pinned=False)
    assert rig.registry.get("y").revision == await rig.answer("y")
    await rig.close()
    rig.assert_consistent()


async def test_what_cannot_be_stored_is_not_changed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.load(weight=2.0)
    failing(monkeypatch, rig.catalog, "put_adapter")

    with pytest.raises(StoreFullError):
        await rig.update(weight=3.0, pinned=True)

    assert (2.0, 0.25, False, {}) == options_of(rig)
    assert {1: ("x", 2.0, None, BANK)} == rig.queue.slots
    monkeypatch.undo()
    assert 3.0 == (await rig.update(weight=3.0)).weight


async def test_a_change_whose_call_is_cancelled_is_made_all_the_same(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.load()
    storing = gated(monkeypatch, rig.catalog, "put_adapter")
    changing = asyncio.create_task(rig.update(weight=2.0))
    await storing.entered.wait()

    changing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await changing
    storing.open.set()
    await until_settled(rig)

    assert 2.0 == rig.registry.get("x").weight


async def test_an_adapter_that_fails_just_then_is_not_changed_and_can_be_loaded_again(rig: Rig) -> None:
    """It was claimed for the change while it served, and its content turned out to be damaged before the first step."""
    await rig.load()
    changing = asyncio.create_task(rig.update(weight=2.0))
    await asyncio.sleep(0)
    rig.registry.fail(rig.registry.entry("x").revisions[0], BROKEN)

    with pytest.raises(AdapterNotReadyError, match="FAILED"):
        await changing

    assert BROKEN is rig.registry.get("x").error
    assert AdapterState.READY is (await rig.load()).state
    await until_settled(rig)


async def test_a_change_that_closing_ends_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.load()
    storing = gated(monkeypatch, rig.catalog, "put_adapter")
    changing = asyncio.create_task(rig.update(weight=2.0))
    await storing.entered.wait()
    just_begun = asyncio.create_task(rig.load("y", "b"))
    await turn()

    await rig.control.close()

    for change in (changing, just_begun, rig.update(weight=3.0)):
        with pytest.raises(ShuttingDownError):
            await change
