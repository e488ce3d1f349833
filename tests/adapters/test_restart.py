"""What serves again after a restart: all that was registered; what is damaged is told, and takes nothing else along."""

import asyncio
import shutil

import pytest

from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.starting import load_at_start
from adaptermux_server.adapters.store.stored import StoredAlias
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    BaseMismatchError,
    RevisionNotFoundError,
)
from adaptermux_server.types import AdapterState, ProblemType, Tier
from tests.adapters.rig import BROKEN, Rig, spoil, turn, until_settled

READY, FAILED, LOADING = AdapterState.READY, AdapterState.FAILED, AdapterState.LOADING
NEW_BASE = "base 2"


def durable(record: AdapterRecord) -> tuple[object, ...]:
    """What of an adapter must be the same after a restart."""
    return (
        *(record.id, record.state, record.revision, record.uri, record.earlier_revisions, record.spec),
        *(record.weight, record.max_wait_seconds, record.pinned, dict(record.metadata)),
    )


async def filled(rig: Rig) -> list[tuple[object, ...]]:
    """Adapters of all kinds and aliases; returns what must come back."""
    await rig.load("x", "a", weight=2.0, max_wait_seconds=3.0, metadata={"team": "search"})
    await rig.load("x", "b", labels=("no", "perhaps", "yes"), problem_type=ProblemType.MULTI_LABEL)
    await rig.load("y", "c", pinned=True)
    await rig.load("z", "a")
    await rig.load("gone", "a")
    await rig.lifecycle.unload("gone")
    await rig.update("z", weight=7.0)
    rig.now = 150.0
    await rig.alias("prod", x=3, y=1)
    await rig.alias("old", **{f"x__{rig.registry.get('x').earlier_revisions[0][:8]}": 1})
    await rig.alias("moved", x=1)
    await rig.alias("moved", y=1)
    await rig.alias("deleted", x=1)
    await rig.control.aliases.delete("deleted")
    return [durable(record) for record in rig.registry.list()]


@pytest.mark.parametrize("base", [None, NEW_BASE])
async def test_adapters_with_their_options_earlier_revisions_and_aliases_are_there_again(
    rig: Rig, base: str | None
) -> None:
    before, aliases = await filled(rig), rig.registry.aliases()
    references = ["x", "y", "z", f"x@{rig.registry.get('x').earlier_revisions[0]}", "old", "moved"]
    answers = [await rig.answer(reference) for reference in references]

    for _ in range(2):
        await rig.restart(base)

        assert before == [durable(record) for record in rig.registry.list()]
        assert aliases == rig.registry.aliases()
        assert answers == [await rig.answer(reference) for reference in references]
        assert await rig.answer("prod", "key") in {answers[0], answers[1]}


async def test_on_the_same_base_all_are_ready_at_once_and_nothing_is_read_before_it_is_asked_for(rig: Rig) -> None:
    await filled(rig)
    await rig.stop_and_open()

    await rig.control.restoring.run()

    assert {READY} == {record.state for record in rig.registry.list()}
    assert {Tier.DISK} == {record.tier for record in rig.registry.list()}
    assert [] == rig.model.prepared
    assert {None} == {record.last_used_time for record in rig.registry.list()}


async def test_pinned_adapters_are_in_the_engine_before_the_server_is_ready(rig: Rig) -> None:
    await filled(rig)
    for base in (None, NEW_BASE):
        await rig.stop_and_open(base)
        await rig.control.restoring.run()

        await rig.control.restoring.bring_up_pinned()

        assert Tier.DEVICE is rig.registry.get("y").tier
        assert rig.registry.get("y").last_used_time is None
        await until_settled(rig)


async def test_a_pinned_adapter_may_be_unloaded_while_it_comes_up(rig: Rig) -> None:
    await rig.load(pinned=True)
    await rig.stop_and_open()
    await rig.control.restoring.run()
    rig.model.gates["install"].hold()
    coming = asyncio.create_task(rig.control.restoring.bring_up_pinned())
    await rig.model.gates["install"].entered.wait()

    unloading = asyncio.create_task(rig.lifecycle.unload("x"))
    await turn()
    rig.model.gates["install"].open.set()
    await asyncio.gather(coming, unloading)

    assert ({}, {}) == (rig.model.slots, rig.queue.slots)


async def test_on_another_base_each_is_checked_anew_once_and_is_loading_until_then(rig: Rig) -> None:
    revision = (await rig.load()).revision
    await rig.stop_and_open(NEW_BASE)
    rig.model.gates["prepare"].hold()
    await rig.control.restoring.run()

    assert LOADING is rig.registry.get("x").state
    with pytest.raises(AdapterNotReadyError, match="LOADING"):
        rig.registry.lease("x")
    rig.model.gates["prepare"].open.set()
    await until_settled(rig)
    assert (READY, revision) == (rig.registry.get("x").state, rig.registry.get("x").revision)

    await rig.restart()
    assert [] == rig.model.prepared


async def test_what_does_not_fit_another_base_fails_and_serves_again_on_its_own(rig: Rig) -> None:
    before = await filled(rig)
    await rig.stop_and_open(NEW_BASE)
    rig.model.failures["prepare"] = BROKEN
    await rig.control.restoring.run()
    await rig.control.restoring.bring_up_pinned()
    await until_settled(rig)
    found = {(record.state, type(record.error)) for record in rig.registry.list()}

    await rig.restart("base 1")

    assert {(FAILED, BaseMismatchError)} == found
    assert before == [durable(record) for record in rig.registry.list()]


async def test_an_adapter_whose_content_is_gone_fails_and_the_rest_serves(rig: Rig) -> None:
    revision = (await rig.load("x", "a")).revision
    await rig.load("y", "b")
    await rig.alias("prod", x=1)
    shutil.rmtree(rig.content(revision))

    for base in (None, NEW_BASE):
        await rig.restart(base)

        failed = rig.registry.get("x")
        assert (FAILED, revision, RevisionNotFoundError) == (failed.state, failed.revision, type(failed.error))
        assert rig.registry.get("y").revision == await rig.answer("y")
        with pytest.raises(AdapterNotReadyError, match="FAILED"):
            await rig.answer("prod")
    await rig.load("x", "a")
    await rig.restart()
    assert revision == await rig.answer("prod")


@pytest.mark.parametrize("base", [None, NEW_BASE])
async def test_changed_bytes_are_never_served_and_a_load_from_the_source_mends_them(rig: Rig, base: str | None) -> None:
    revision = (await rig.load("x", "a")).revision
    await rig.load("y", "b")
    spoil(rig.content(revision))
    await rig.restart(base)

    for _ in range(2):
        with pytest.raises(AdapterNotReadyError, match="FAILED"):
            await rig.answer("x")
    assert isinstance(rig.registry.get("x").error, RevisionNotFoundError)
    with pytest.raises(RevisionNotFoundError):
        await rig.load("x", revision=revision)
    assert rig.registry.get("y").revision == await rig.answer("y")
    await rig.load("x", "a")
    await rig.restart()
    assert revision == await rig.answer("x")


async def test_a_damaged_content_is_not_loaded_as_another_revision(rig: Rig) -> None:
    revision = (await rig.load("x", "a")).revision
    spoil(rig.content(revision))

    for validate_only in (True, False):
        with pytest.raises(RevisionNotFoundError):
            await rig.load("y", revision=revision, validate_only=validate_only)

    assert FAILED is rig.registry.get("y").state


@pytest.mark.parametrize("damage", [shutil.rmtree, spoil])
async def test_an_earlier_revision_with_a_damaged_content_does_not_serve_and_the_present_one_does(
    rig: Rig, damage: object
) -> None:
    old, new = (await rig.load("x", "a")).revision, (await rig.load("x", "b")).revision
    await until_settled(rig)
    damage(rig.content(old))  # type: ignore[operator]
    await rig.restart()

    with pytest.raises((AdapterNotFoundError, AdapterNotReadyError)):
        await rig.answer(f"x@{old}")

    assert ((), READY) == (rig.registry.get("x").earlier_revisions, rig.registry.get("x").state)
    assert new == await rig.answer("x")
    await rig.load("x", "c")
    assert (new,) == rig.registry.get("x").earlier_revisions


async def test_an_alias_that_makes_no_sense_is_dropped_and_the_rest_is_there(rig: Rig) -> None:
    await rig.load()
    await rig.alias("prod", x=1)
    await rig.catalog.put_alias(StoredAlias("odd", (("x", 0),)))
    await rig.catalog.put_alias(StoredAlias("query", (("prod", 1),)))

    await rig.restart()

    assert ["prod"] == [alias.name for alias in rig.registry.aliases()]
    assert READY is rig.registry.get("x").state


async def test_a_first_load_that_failed_is_forgotten(rig: Rig) -> None:
    rig.model.failures["install"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load()

    await rig.restart()

    assert [] == rig.registry.list()


@pytest.mark.parametrize("base", [None, NEW_BASE])
async def test_adapters_of_the_start_keep_options_that_were_changed_since(rig: Rig, base: str | None) -> None:
    folders = {"x": rig.root / "a", "y": rig.root / "b"}
    await load_at_start(rig.control, folders)
    await rig.update("x", weight=5.0, pinned=True, metadata={"team": "search"})
    before = [durable(record) for record in rig.registry.list()]
    await rig.stop_and_open(base)
    await rig.control.restoring.run()

    await load_at_start(rig.control, folders)

    assert before == [durable(record) for record in rig.registry.list()]


async def test_closing_while_adapters_are_checked_again_ends_well(rig: Rig) -> None:
    before = await filled(rig)
    await rig.stop_and_open(NEW_BASE)
    rig.model.gates["prepare"].hold()
    await rig.control.restoring.run()
    coming = asyncio.create_task(rig.control.restoring.bring_up_pinned())
    await rig.model.gates["prepare"].entered.wait()

    await rig.restart()
    await coming

    assert before == [durable(record) for record in rig.registry.list()]
