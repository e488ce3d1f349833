"""Revisions by name: the present and the earlier ones, how many are kept, and the way back to one."""

import asyncio

import pytest

from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.errors import AdapterNotFoundError, InvalidRequestError, RevisionNotFoundError
from adaptermux_server.types import AdapterState, Tier
from tests.adapters.builders import write_adapter
from tests.adapters.rig import Rig, until_settled

_KEPT = 10


async def loaded(rig: Rig, count: int, first: int = 0) -> list[str]:
    """Load one content after the other under one id; returns their revisions, newest first."""
    for number in range(first, first + count):
        write_adapter(rig.root / f"n{number}", seed=100 + number)
    return [(await rig.load("x", f"n{number}")).revision for number in range(first, first + count)][::-1]


async def swapped(rig: Rig, count: int, first: int = 0) -> list[str]:
    """As `loaded`, and those that were replaced have left memory."""
    revisions = await loaded(rig, count, first)
    await until_settled(rig)
    return revisions


async def test_the_present_and_the_earlier_ones_are_named_by_digits_of_their_revisions(rig: Rig) -> None:
    revisions = await swapped(rig, 3)

    for revision in revisions:
        assert [revision] * 2 == [await rig.answer(f"x@{revision[:length]}") for length in (8, 64)]
    assert revisions[0] == await rig.answer("x")
    assert tuple(revisions[1:]) == rig.registry.get("x").earlier_revisions
    with pytest.raises(AdapterNotFoundError, match=revisions[2][:12]):
        await rig.answer("x@00000000")
    for reference in (f"x@{revisions[0][:7]}", f"x@{revisions[0].upper()}", "x@"):
        with pytest.raises(InvalidRequestError):
            await rig.answer(reference)


async def test_an_earlier_one_leaves_memory_and_comes_back_for_those_who_name_it(rig: Rig) -> None:
    new, old = await swapped(rig, 2)
    assert [new] == [prepared.digest for prepared in rig.model.slots.values()]

    assert old == await rig.answer(f"x@{old}")

    assert {new, old} == {prepared.digest for prepared in rig.model.slots.values()}
    assert Tier.DEVICE is rig.registry.get("x").tier


async def test_a_pin_holds_through_the_swap_that_makes_it_an_earlier_one(rig: Rig) -> None:
    (old,) = await swapped(rig, 1)
    with rig.registry.lease(f"x@{old}") as served:
        async with rig.tiers.holding([served]):
            (new,) = await loaded(rig, 1, first=1)
            assert old == rig.model.slots[served.held_slot].digest
    await until_settled(rig)

    assert [new] == [prepared.digest for prepared in rig.model.slots.values()]


async def test_the_way_back_is_a_load_of_the_earlier_revision(rig: Rig) -> None:
    new, middle, old = await swapped(rig, 3)

    record = await rig.load("x", revision=middle, weight=3.0)
    await until_settled(rig)

    assert (AdapterState.READY, middle, (new, old), "", 3.0) == (
        *(record.state, record.revision, record.earlier_revisions, record.uri, record.weight),
    )
    await rig.restart()
    assert (middle, (new, old)) == (await rig.answer("x"), rig.registry.get("x").earlier_revisions)
    assert [new, old] == [await rig.answer(f"x@{revision}") for revision in (new, old)]


async def test_ten_earlier_ones_are_kept(rig: Rig) -> None:
    revisions = await swapped(rig, _KEPT + 3)

    for _ in range(2):
        assert tuple(revisions[1 : _KEPT + 1]) == rig.registry.get("x").earlier_revisions
        assert revisions[_KEPT] == await rig.answer(f"x@{revisions[_KEPT]}")
        with pytest.raises(AdapterNotFoundError):
            await rig.answer(f"x@{revisions[_KEPT + 1]}")
        await rig.restart()
    # Its content is there for some days.
    assert revisions[-1] == (await rig.load("x", revision=revisions[-1])).revision


async def test_those_that_aliases_point_at_are_kept_beyond_the_ten(rig: Rig) -> None:
    (old,) = await swapped(rig, 1)
    await rig.alias("old", **{f"x__{old}": 1})
    revisions = await swapped(rig, _KEPT + 3, first=1)

    for _ in range(2):
        assert (*revisions[1 : _KEPT + 1], old) == rig.registry.get("x").earlier_revisions
        assert old == await rig.answer("old") == await rig.answer(f"x@{old}")
        await rig.restart()
    await rig.control.aliases.delete("old")
    await swapped(rig, 1, first=100)
    with pytest.raises(AdapterNotFoundError):
        await rig.answer(f"x@{old}")


async def test_a_request_of_a_revision_that_is_forgotten_meanwhile_is_answered(rig: Rig) -> None:
    (old,) = await swapped(rig, 1)
    with rig.registry.lease(f"x@{old}") as served:
        await loaded(rig, _KEPT + 1, first=1)
        with pytest.raises(AdapterNotFoundError):
            rig.registry.lease(f"x@{old}")
        assert 1 == rig.registry.get("x").num_in_flight

        async with rig.tiers.holding([served]):
            assert old == rig.model.slots[served.held_slot].digest
    await until_settled(rig)

    assert 1 == len(rig.model.slots)


async def test_earlier_ones_that_are_in_use_do_not_keep_the_present_one_from_the_engine(tmp_path: object) -> None:
    rig = Rig(tmp_path, TierLimits(device_adapters=1))  # type: ignore[arg-type]
    new, old = await swapped(rig, 2)
    for _ in range(3):
        assert [old, new] == list(await asyncio.gather(rig.answer(f"x@{old}"), rig.answer("x")))
    await until_settled(rig)
    await rig.close()

    rig.assert_consistent()


async def test_only_whole_revisions_that_the_store_has_are_loaded(rig: Rig) -> None:
    (revision,) = await swapped(rig, 1)

    for wrong in (revision[:12], revision.upper(), f"{revision}0"):
        with pytest.raises(InvalidRequestError, match="revision"):
            await rig.load("y", revision=wrong)
    with pytest.raises(RevisionNotFoundError):
        await rig.load("y", revision="0" * 64)

    assert revision == (await rig.load("y", revision=revision)).revision
