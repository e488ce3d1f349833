"""What watchers are told: every change of adapters and aliases, once and in order, and a beginning that fits it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest

from adaptermux_server.adapters.aliases import Alias
from adaptermux_server.adapters.feed import EventKind, FeedEvent
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.errors import BaseMismatchError, DrainTimeoutError, StoreFullError
from adaptermux_server.types import AdapterState, Tier
from tests.adapters.rig import BROKEN, Rig, failing, gated, spoil, until_settled

Event = FeedEvent[AdapterRecord | Alias]
LOADING, READY, FAILED, DRAINING = (
    *(AdapterState.LOADING, AdapterState.READY, AdapterState.FAILED, AdapterState.DRAINING),
)


class Watcher:
    """Knows what it was told. Each look at the news is a watch of its own, which goes on after the last one."""

    def __init__(self, rig: Rig, token: str = "") -> None:
        self.adapters: dict[str, AdapterRecord] = {}
        self.aliases: dict[str, Alias] = {}
        self.token = token
        self._rig = rig

    async def news(self) -> list[Event]:
        """All events that there are by now."""
        found: list[Event] = []
        async with aclosing(self._rig.registry.feed.watch(self.token)) as events:
            while event := await _next_at_once(events):
                self._learn(event)
                found.append(event)
        return found

    async def told(self) -> list[tuple[object, ...]]:
        """The news in short."""
        return [_short(event) for event in await self.news()]

    def agrees_with(self, rig: Rig) -> bool:
        """Whether it knows just what is there, counters left out."""
        listed = {record.id: _seen(record) for record in rig.registry.list()}
        aliases = {alias.name: alias for alias in rig.registry.aliases()}
        return (listed, aliases) == ({id_: _seen(record) for id_, record in self.adapters.items()}, self.aliases)

    def _learn(self, event: Event) -> None:
        self.token = event.token or self.token
        match event:
            case FeedEvent(kind=EventKind.SNAPSHOT_BEGIN):
                self.adapters.clear()
                self.aliases.clear()
            case FeedEvent(value=AdapterRecord() as record):
                self.adapters[record.id] = record
            case FeedEvent(value=Alias() as alias):
                self.aliases[alias.name] = alias
            case FeedEvent(kind=EventKind.ADAPTER):
                self.adapters.pop(event.key, None)
            case FeedEvent(kind=EventKind.ALIAS):
                self.aliases.pop(event.key, None)


async def _next_at_once(events: AsyncGenerator[Event, None]) -> Event | None:
    """The next event, None if it would have to be waited for."""
    coming = asyncio.ensure_future(anext(events, None))
    for _ in range(3):
        await asyncio.sleep(0)
    if coming.done():
        return coming.result()
    coming.cancel()
    await asyncio.wait([coming])
    return None


def _seen(record: AdapterRecord) -> tuple[object, ...]:
    return (
        *(record.id, record.state, record.revision, record.weight, record.max_wait_seconds),
        *(record.pinned, dict(record.metadata), record.earlier_revisions, record.uri, record.error, record.load_time),
    )


def _short(event: Event) -> tuple[object, ...]:
    match event.value:
        case AdapterRecord() as record:
            return (record.id, record.state, record.revision[:4])
        case Alias() as alias:
            return (alias.name, *(target.adapter for target in alias.targets))
    return (event.key or event.kind.value, None)


BEGIN, END = (("snapshot begin", None), ("snapshot end", None))


@pytest.fixture
async def watcher(rig: Rig) -> AsyncGenerator[Watcher, None]:
    """One that watches from the beginning, and knows at the end what is there."""
    found = Watcher(rig)
    assert [BEGIN, END] == await found.told()
    yield found
    await until_settled(rig)
    await found.news()
    assert found.agrees_with(rig)


async def test_a_load_and_an_unload_are_told_step_by_step(rig: Rig, watcher: Watcher) -> None:
    revision = (await rig.load()).revision[:4]
    assert [("x", LOADING, ""), ("x", READY, revision)] == await watcher.told()
    await rig.answer("x")
    assert [] == await watcher.told()

    with rig.registry.lease("x"):
        with pytest.raises(DrainTimeoutError):
            await rig.lifecycle.unload("x", 0)
        assert [("x", DRAINING, revision)] == await watcher.told()
    await rig.lifecycle.unload("x")
    assert ("x", None) == (await watcher.told())[-1]
    assert {} == watcher.adapters


async def test_a_swap_is_one_change(rig: Rig, watcher: Watcher) -> None:
    old = (await rig.load("x", "a")).revision
    await watcher.news()
    new = (await rig.load("x", "b")).revision

    assert [("x", READY, new[:4])] == await watcher.told()
    assert (old,) == watcher.adapters["x"].earlier_revisions
    await rig.load("x", "b")
    assert [] == await watcher.told()


async def test_a_failed_load_is_told_with_its_error_and_the_next_one_without(rig: Rig, watcher: Watcher) -> None:
    rig.model.failures["install"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load()
    told = await watcher.told()
    assert [LOADING, FAILED] == [state for _, state, _ in told]
    assert BROKEN is watcher.adapters["x"].error

    rig.model.failures.clear()
    await rig.load()
    rig.model.failures["prepare"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load("x", "b")
    await watcher.news()
    assert (READY, BROKEN) == (watcher.adapters["x"].state, watcher.adapters["x"].error)


async def test_a_load_that_validates_is_not_told(rig: Rig, watcher: Watcher) -> None:
    await rig.load(validate_only=True)

    assert [] == await watcher.told()


async def test_options_are_told_once_and_not_if_they_stay(
    rig: Rig, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.load()
    await watcher.news()
    for values in ({"weight": 2.0}, {"metadata": {"a": "b"}}, {"max_wait_seconds": 2.0}, {"pinned": True}):
        await rig.update(**values)
        assert 1 == len(await watcher.news())
        await rig.update(**values)
        assert 0 == len(await watcher.news())
    failing(monkeypatch, rig.catalog, "put_adapter")
    with pytest.raises(StoreFullError):
        await rig.update(weight=3.0)

    assert [] == await watcher.news()
    assert (2.0, {"a": "b"}, 2.0, True) == (
        *(watcher.adapters["x"].weight, watcher.adapters["x"].metadata),
        *(watcher.adapters["x"].max_wait_seconds, watcher.adapters["x"].pinned),
    )


async def test_aliases_are_told_when_requests_go_by_them(
    rig: Rig, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.load("x", "a")
    await rig.load("y", "b")
    await watcher.news()
    storing = gated(monkeypatch, rig.catalog, "put_alias")
    making = asyncio.create_task(rig.alias("prod", x=1))
    await storing.entered.wait()
    assert [] == await watcher.told()
    storing.open.set()
    await making
    await rig.alias("prod", x=1, y=2)
    await rig.control.aliases.delete("prod")

    assert [("prod", "x"), ("prod", "x", "y"), ("prod", None)] == await watcher.told()


async def test_moves_between_the_tiers_alone_are_not_told(tmp_path: Path) -> None:
    """With many adapters they would push everything else out of the log."""
    rig = Rig(tmp_path, TierLimits(device_adapters=1))
    watcher = Watcher(rig)
    await rig.load("x", "a")
    await rig.load("y", "b")
    await until_settled(rig)
    await watcher.news()

    await rig.answer("x")
    await until_settled(rig)

    assert (Tier.DEVICE, Tier.HOST) == (rig.registry.get("x").tier, rig.registry.get("y").tier)
    assert [] == await watcher.news()
    assert watcher.agrees_with(rig)
    await rig.close()


async def test_what_turns_out_to_be_damaged_is_told(rig: Rig) -> None:
    revision = (await rig.load()).revision
    spoil(rig.content(revision))
    await rig.restart()
    watcher = Watcher(rig)
    assert [BEGIN, ("x", READY, revision[:4]), END] == await watcher.told()

    with pytest.raises(Exception, match="FAILED"):
        await rig.answer("x")

    assert [("x", FAILED, revision[:4])] == await watcher.told()
    assert watcher.agrees_with(rig)


async def test_a_restart_begins_anew_whatever_token_comes(rig: Rig) -> None:
    await rig.load("x", "a")
    await rig.load("y", "b")
    await rig.alias("prod", x=1)
    watcher = Watcher(rig)
    await watcher.news()
    token, adapters = watcher.token, watcher.adapters.keys()
    await rig.restart()

    again = Watcher(rig, token)
    kinds = [event.kind for event in await again.news()]

    assert [EventKind.SNAPSHOT_BEGIN, EventKind.SNAPSHOT_END] == [kinds[0], kinds[-1]]
    assert again.agrees_with(rig)
    assert adapters == again.adapters.keys()


async def test_who_comes_back_at_any_event_sees_the_rest_in_order_and_none_twice(rig: Rig) -> None:
    watcher = Watcher(rig)
    await watcher.news()
    first = watcher.token
    changes: list[Mapping[str, int]] = [{"x": 1}, {"x": 1, "y": 3}, {"y": 1}]
    await rig.load("x", "a")
    await asyncio.gather(rig.load("y", "b"), rig.load("z", "c"))
    for weights in changes:
        await rig.alias("prod", **weights)
        await rig.load("x", "b" if "y" in weights else "a")
    await rig.delete("z")
    await until_settled(rig)
    events = await watcher.news()
    tokens = [first, *(event.token for event in events)]

    assert len(set(tokens)) == len(tokens)
    for index, token in enumerate(tokens):
        again = Watcher(rig, token)
        assert events[index:] == await again.news()
    assert watcher.agrees_with(rig)
