"""Aliases that are made, moved and removed: in one step for requests, durably, and never to what won't be there."""

import asyncio
from collections import Counter

import pytest

from adaptermux_server.adapters.aliases import Alias, AliasTarget
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasNotFoundError,
    BaseMismatchError,
    InvalidRequestError,
    ShuttingDownError,
    StoreFullError,
)
from tests.adapters.builders import write_adapter
from tests.adapters.rig import BROKEN, Rig, failing, gated, until_settled


async def two(rig: Rig) -> tuple[str, str]:
    """Two adapters; returns their revisions."""
    return (await rig.load("x", "a")).revision, (await rig.load("y", "b")).revision


async def test_an_alias_is_there_with_whole_revisions_and_its_time(rig: Rig) -> None:
    a, _ = await two(rig)
    rig.now = 500.0

    alias = await rig.alias("prod", **{f"x__{a[:8]}": 2, "y": 1})

    assert Alias("prod", (AliasTarget(f"x@{a}", 2), AliasTarget("y")), 500.0) == alias
    assert [alias] == rig.registry.aliases()
    await rig.restart()
    assert [alias] == rig.registry.aliases()


async def test_an_alias_without_a_revision_follows_the_adapter_and_one_with_it_stays(rig: Rig) -> None:
    a, _ = await two(rig)
    await rig.alias("newest", x=1)
    await rig.alias("fixed", **{f"x__{a}": 1})

    c = (await rig.load("x", "c")).revision

    assert (c, a) == (await rig.answer("newest"), await rig.answer("fixed"))


async def test_a_canary_gets_its_share_and_each_key_stays_where_it_is_over_a_restart(rig: Rig) -> None:
    a, b = await two(rig)
    await rig.alias("prod", x=3, y=1)
    keys = [f"user-{number}" for number in range(400)]

    before = {key: await rig.answer("prod", key) for key in keys}
    await rig.restart()

    assert before == {key: await rig.answer("prod", key) for key in keys}
    counts = Counter(before.values())
    assert {a, b} == counts.keys()
    assert 250 < counts[a] < 350


async def test_requests_go_by_the_old_targets_until_the_new_ones_are_on_the_disk(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two(rig)
    await rig.alias("prod", x=1)
    storing = gated(monkeypatch, rig.catalog, "put_alias")
    moving = asyncio.create_task(rig.alias("prod", y=1))
    await storing.entered.wait()

    assert a == await rig.answer("prod")
    storing.open.set()
    await moving
    assert b == await rig.answer("prod")


@pytest.mark.parametrize(
    ("name", "target", "error"),
    [
        ("x", "y", InvalidRequestError),
        ("base", "y", InvalidRequestError),
        ("loading", "x", InvalidRequestError),
        ("new", "prod", InvalidRequestError),
        ("new", "new", InvalidRequestError),
        ("new", "X", InvalidRequestError),
        ("new", "x@012", InvalidRequestError),
        ("new", "unknown", AdapterNotFoundError),
        ("new", "x@ffffffff", AdapterNotFoundError),
        ("new", "failed", AdapterNotReadyError),
        ("new", "loading", AdapterNotReadyError),
    ],
)
async def test_what_cannot_be_an_alias_or_a_target_is_refused_and_nothing_changes(
    rig: Rig, name: str, target: str, error: type[Exception]
) -> None:
    await two(rig)
    before = [await rig.alias("prod", x=1)]
    rig.model.failures["prepare"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load("failed")
    rig.model.failures.clear()
    rig.model.gates["prepare"].hold()
    loading = rig.start("loading", "c")
    await rig.model.gates["prepare"].entered.wait()

    with pytest.raises(error):
        await rig.alias(name, **{"x": 1, target.replace("@", "__"): 1})

    rig.model.gates["prepare"].open.set()
    await loading
    assert before == rig.registry.aliases()
    await rig.restart()
    assert before == rig.registry.aliases()


async def test_two_prefixes_of_one_revision_are_one_target(rig: Rig) -> None:
    a, _ = await two(rig)

    with pytest.raises(InvalidRequestError, match="distinct"):
        await rig.alias("prod", **{f"x__{a[:8]}": 1, f"x__{a[:9]}": 1})

    assert [] == rig.registry.aliases()
    await rig.alias("prod", x=1)


async def test_no_adapter_takes_the_name_of_an_alias_that_is_there_coming_or_going(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await two(rig)
    for step, change in (
        ("put_alias", lambda: rig.alias("prod", x=1)),
        ("put_alias", lambda: rig.alias("prod", y=1)),
        ("delete_alias", lambda: rig.control.aliases.delete("prod")),
    ):
        with monkeypatch.context() as patch:
            storing = gated(patch, rig.catalog, step)
            changing = asyncio.create_task(change())  # type: ignore[arg-type, no-untyped-call]
            await storing.entered.wait()
            with pytest.raises(InvalidRequestError, match="adapter_id"):
                await rig.load("prod", "c")
            storing.open.set()
            await changing
    await rig.load("prod", "c")

    assert {a, b} == {await rig.answer("x"), await rig.answer("y")}
    with pytest.raises(InvalidRequestError, match=r"alias\.name"):
        await rig.alias("prod", x=1)


async def test_what_cannot_be_stored_is_not_changed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    a, _ = await two(rig)
    before = [await rig.alias("prod", x=1)]
    for step in ("put_alias", "delete_alias"):
        failing(monkeypatch, rig.catalog, step)

    for change in (rig.alias("prod", y=1), rig.alias("new", y=1), rig.control.aliases.delete("prod")):
        with pytest.raises(StoreFullError):
            await change

    assert (before, a) == (rig.registry.aliases(), await rig.answer("prod"))
    monkeypatch.undo()
    await rig.load("new", "c")


async def test_changes_at_once_are_made_one_after_the_other_for_the_store_and_for_requests(rig: Rig) -> None:
    await two(rig)
    await rig.alias("prod", x=1)

    await asyncio.gather(
        rig.alias("prod", y=1), rig.control.aliases.delete("prod"), rig.alias("prod", x=5), rig.alias("other", y=1)
    )

    aliases = rig.registry.aliases()
    assert [("other", "y", 1), ("prod", "x", 5)] == [
        (alias.name, target.adapter, target.weight) for alias in aliases for target in alias.targets
    ]
    await rig.restart()
    assert aliases == rig.registry.aliases()


async def test_an_alias_that_is_not_there_is_not_found(rig: Rig) -> None:
    await two(rig)
    await rig.alias("prod", x=1)
    await rig.control.aliases.delete("prod")

    for name in ("prod", "x"):
        with pytest.raises(AliasNotFoundError, match=name):
            await rig.control.aliases.delete(name)
    with pytest.raises(InvalidRequestError):
        await rig.control.aliases.delete("base")
    with pytest.raises(AdapterNotFoundError):
        await rig.answer("prod")


async def test_a_change_goes_on_without_its_caller_and_not_without_the_server(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two(rig)
    storing = gated(monkeypatch, rig.catalog, "put_alias")
    moving = asyncio.create_task(rig.alias("prod", y=1))
    await storing.entered.wait()
    moving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moving
    storing.open.set()
    await until_settled(rig)

    storing.hold()
    changes = [asyncio.create_task(rig.alias(name, y=1)) for name in ("first", "second")]
    await storing.entered.wait()
    await rig.control.close()
    for change in (*changes, rig.alias("third", y=1)):
        with pytest.raises(ShuttingDownError):
            await change
    assert ["prod"] == [alias.name for alias in rig.registry.aliases()]


@pytest.mark.parametrize("first", ["alias", "load"])
async def test_a_revision_that_an_alias_gets_is_not_forgotten_by_a_load_at_the_same_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The eleventh swap forgets the oldest revision, unless an alias points at it."""
    digests = []
    for seed in range(12):
        write_adapter(rig.root / f"n{seed}", seed=100 + seed)
    for seed in range(11):
        digests.append((await rig.load("x", f"n{seed}")).revision)
    await until_settled(rig)
    storing = gated(monkeypatch, rig.catalog, "put_alias" if first == "alias" else "put_adapter")
    begin = {
        "alias": lambda: rig.alias("old", **{f"x__{digests[0]}": 1}),
        "load": lambda: rig.load("x", "n11"),
    }
    changes = [asyncio.create_task(begin.pop(first)())]  # type: ignore[arg-type, no-untyped-call]
    await storing.entered.wait()
    changes += [asyncio.create_task(change()) for change in begin.values()]  # type: ignore[arg-type, no-untyped-call]
    await asyncio.sleep(0.1)
    storing.open.set()

    outcomes = await asyncio.gather(*changes, return_exceptions=True)

    if first == "alias":
        assert digests[0] == await rig.answer("old")
        await rig.restart()
        assert digests[0] == await rig.answer("old")
    else:
        assert isinstance(outcomes[1], AdapterNotFoundError)
        assert [] == rig.registry.aliases()
    await until_settled(rig)
