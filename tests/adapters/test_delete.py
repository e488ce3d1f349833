"""Forgetting an adapter with its contents, or without: what stays is what others need, and what may be needed soon."""

import asyncio
import shutil

import pytest

from adaptermux_server.adapters.store.content import ContentStore
from adaptermux_server.adapters.upkeep import Upkeep
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasedError,
    DrainTimeoutError,
    RevisionNotFoundError,
    StoreFullError,
    StoreUnavailableError,
)
from adaptermux_server.types import AdapterState
from tests.adapters.builders import write_adapter
from tests.adapters.rig import Rig, failing, gated, turn, until_settled

DAY = 86400.0


def upkeep(rig: Rig, keep_seconds: float = 7 * DAY) -> Upkeep:
    return Upkeep(rig.registry, rig.tiers, rig.catalog, keep_seconds, clock=lambda: rig.now)


async def test_a_delete_removes_the_contents_of_all_revisions(rig: Rig) -> None:
    digests = [(await rig.load("x", content)).revision for content in "abc"]

    record = await rig.delete()

    assert (AdapterState.UNLOADED, digests[2]) == (record.state, record.revision)
    assert [False] * 3 == [rig.catalog.has(digest) or rig.content(digest).exists() for digest in digests]
    assert ([], {}, 0) == (rig.registry.list(), rig.model.slots, rig.catalog.num_bytes)
    with pytest.raises(RevisionNotFoundError):
        await rig.load(revision=digests[0])
    await rig.lifecycle.unload("x")
    await rig.restart()
    assert [] == rig.registry.list()


async def test_contents_that_another_adapter_has_or_had_stay(rig: Rig) -> None:
    a, b = (await rig.load("x", "a")).revision, (await rig.load("x", "b")).revision
    await rig.load("y", "a")
    await rig.load("y", "c")

    await rig.delete()

    assert (True, False) == (rig.catalog.has(a), rig.catalog.has(b))
    await rig.restart()
    assert a == await rig.answer(f"y@{a}")


async def test_a_content_that_is_just_being_loaded_under_another_id_stays(rig: Rig) -> None:
    revision = (await rig.load()).revision
    rig.model.gates["install"].hold()
    for adapter_id, source in (("y", {"content": "a"}), ("z", {"revision": revision})):
        rig.model.gates["install"].entered.clear()
        await rig.load(adapter_id, **source, return_immediately=True)
        await rig.model.gates["install"].entered.wait()
    await rig.delete()
    rig.model.gates["install"].open.set()
    await until_settled(rig)

    assert ["y", "z"] == [record.id for record in rig.registry.list()]
    assert [revision] * 2 == [await rig.answer("y"), await rig.answer("z")]
    await rig.restart()
    assert revision == await rig.answer("y")


async def test_row_21_a_delete_of_an_aliased_one_is_refused_before_anything_is_done(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (await rig.load("x", "a")).revision, (await rig.load("x", "b")).revision
    await rig.alias("canary", **{f"x__{old}": 1})
    await rig.load("y", "c")
    await rig.alias("prod", x=1, y=1)

    with pytest.raises(AliasedError) as caught:
        await rig.delete(force=True)

    assert "canary,prod" == caught.value.metadata["aliases"]
    assert [] == rig.queue.failed
    assert (old, new) == (await rig.answer("canary"), await rig.answer("x"))
    await rig.control.aliases.delete("canary")
    await rig.alias("prod", y=1)
    storing = gated(monkeypatch, rig.catalog, "put_alias")
    coming = asyncio.create_task(rig.alias("next", x=1))
    await storing.entered.wait()
    with pytest.raises(AliasedError, match="next"):
        await rig.delete()
    storing.open.set()
    await coming
    await rig.control.aliases.delete("next")
    assert AdapterState.UNLOADED is (await rig.delete()).state


async def test_no_alias_can_be_made_to_what_is_being_deleted(rig: Rig) -> None:
    await rig.load()
    with rig.registry.lease("x"):
        deleting = asyncio.create_task(rig.delete())
        await turn()
        with pytest.raises(AdapterNotReadyError, match="DRAINING"):
            await rig.alias("prod", x=1)
    await deleting

    assert [] == rig.registry.aliases()


async def test_an_unloaded_one_may_be_aliased_and_serves_by_the_alias_when_it_comes_again(rig: Rig) -> None:
    revision = (await rig.load()).revision
    await rig.alias("prod", x=1)

    await rig.lifecycle.unload("x")
    for _ in range(2):
        with pytest.raises(AdapterNotFoundError, match="x"):
            await rig.answer("prod")
        await rig.restart()

    await rig.load(revision=revision)
    assert revision == await rig.answer("prod")


async def test_a_delete_waits_for_requests_in_flight_and_can_be_repeated(rig: Rig) -> None:
    revision = (await rig.load()).revision
    with rig.registry.lease("x"):
        with pytest.raises(DrainTimeoutError):
            await rig.delete(drain_timeout_seconds=0)

        assert AdapterState.DRAINING is rig.registry.get("x").state
        assert rig.catalog.has(revision)

    await rig.delete()
    assert not rig.catalog.has(revision)


async def test_a_failed_adapter_of_an_earlier_life_is_deleted_with_its_contents(rig: Rig) -> None:
    old, new = (await rig.load("x", "a")).revision, (await rig.load("x", "b")).revision
    shutil.rmtree(rig.content(new))
    await rig.restart()
    assert AdapterState.FAILED is rig.registry.get("x").state

    await rig.delete()

    assert not rig.content(old).exists()
    assert (0, []) == (rig.catalog.num_bytes, rig.registry.list())


async def test_row_22_what_the_store_cannot_forget_stays_draining_and_serves_again_after_a_restart_or_a_load(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = (await rig.load()).revision
    failing(monkeypatch, rig.catalog, "delete_adapter")

    for _ in range(2):
        with pytest.raises(StoreFullError):
            await rig.delete()

    assert AdapterState.DRAINING is rig.registry.get("x").state
    assert revision == (await rig.load()).revision == await rig.answer("x")
    with pytest.raises(StoreFullError):
        await rig.delete()
    await rig.restart()
    assert revision == await rig.answer("x")
    await rig.delete()
    assert [] == rig.registry.list()


async def test_row_22_a_content_that_cannot_be_removed_is_left_to_the_upkeep(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = (await rig.load()).revision

    def refuse(*_: object) -> bool:
        raise StoreUnavailableError("Read-only file system")

    monkeypatch.setattr(ContentStore, "remove", refuse)

    assert AdapterState.UNLOADED is (await rig.delete()).state

    assert [] == rig.registry.list()
    monkeypatch.undo()
    rig.now += 8 * DAY
    assert 1 == await upkeep(rig).sweep_once()
    assert not rig.content(revision).exists()


async def test_a_content_that_a_load_has_pushed_out_stays_for_some_days(rig: Rig) -> None:
    for number in range(12):
        write_adapter(rig.root / f"n{number}", seed=100 + number)
    oldest = (await rig.load("x", "n0")).revision
    rig.now += 100 * DAY
    for number in range(1, 12):
        await rig.load("x", f"n{number}")

    assert oldest not in rig.registry.get("x").earlier_revisions
    assert 0 == await upkeep(rig).sweep_once()
    rig.now += 8 * DAY
    assert 1 == await upkeep(rig).sweep_once()
    assert not rig.catalog.has(oldest)


async def test_the_content_of_an_unloaded_adapter_stays_for_some_days_however_long_it_was_there(rig: Rig) -> None:
    digests = [(await rig.load("x", content)).revision for content in "ab"]
    rig.now += 100 * DAY
    await rig.lifecycle.unload("x")

    rig.now += 6 * DAY
    assert 0 == await upkeep(rig).sweep_once()
    assert digests[0] == (await rig.load(revision=digests[0])).revision
    rig.now += 2 * DAY
    assert 1 == await upkeep(rig).sweep_once()

    assert (True, False) == (rig.catalog.has(digests[0]), rig.catalog.has(digests[1]))
