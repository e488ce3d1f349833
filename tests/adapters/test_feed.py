"""The feed of changes: who watches it, and however often it breaks off, ends with the state of the source."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from adaptermux_server.adapters.feed import ChangeFeed, EventKind, FeedEvent
from adaptermux_server.errors import InvalidRequestError

BEGIN, END, ADAPTER, ALIAS = EventKind.SNAPSHOT_BEGIN, EventKind.SNAPSHOT_END, EventKind.ADAPTER, EventKind.ALIAS


class Source:
    """A state whose changes a feed tells."""

    def __init__(self, log_size: int = 10, epoch: str = "e1", **adapters: object) -> None:
        self.adapters = dict(adapters)
        self.feed = ChangeFeed[object](self.snapshot, log_size=log_size, epoch=epoch)

    def snapshot(self) -> Sequence[tuple[EventKind, str, object]]:
        return [(ADAPTER, key, value) for key, value in self.adapters.items()]

    def put(self, key: str, value: object) -> None:
        self.adapters[key] = value
        self.feed.publish(ADAPTER, key, value)


async def take(watch: AsyncGenerator[FeedEvent[object], None], count: int) -> Sequence[FeedEvent[object]]:
    return [await anext(watch) for _ in range(count)]


async def seen_after(source: Source, token: str, count: int) -> Sequence[FeedEvent[object]]:
    """The next events of a watcher that comes with this token."""
    async with aclosing(source.feed.watch(token)) as watch:
        return await take(watch, count)


def snapshot_of(adapters: Mapping[str, object], token: str) -> Sequence[FeedEvent[object]]:
    return [FeedEvent(BEGIN), *(FeedEvent(ADAPTER, *each) for each in adapters.items()), FeedEvent(END, token=token)]


async def test_a_watch_begins_with_what_is_there_and_goes_on_with_each_change() -> None:
    source = Source(x=1, y=2)
    watch = source.feed.watch()
    begin = await take(watch, 4)
    source.put("x", 3)
    source.feed.publish(ALIAS, "prod", None)

    assert snapshot_of({"x": 1, "y": 2}, "e1-0") == begin
    assert [FeedEvent(ADAPTER, "x", 3, "e1-1"), FeedEvent(ALIAS, "prod", None, "e1-2")] == await take(watch, 2)


async def test_a_change_reaches_those_who_wait_for_it() -> None:
    source = Source()
    watches = [source.feed.watch("e1-0") for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)

    source.put("x", 1)

    assert [FeedEvent(ADAPTER, "x", 1, "e1-1")] * 3 == await asyncio.gather(*waiting)


@pytest.mark.parametrize("log_size", [10, 3])
async def test_a_token_that_the_log_reaches_gives_every_change_since(log_size: int) -> None:
    source = Source(log_size=log_size)
    for value in range(1, 6):
        source.put("x", value)

    assert [3, 4, 5] == [event.value for event in await seen_after(source, "e1-2", 3)]


@pytest.mark.parametrize("token", ["e2-5", "e1-2", "e1-6", "e1-99999999999999999"])
async def test_a_token_of_which_the_log_knows_nothing_gives_a_snapshot(token: str) -> None:
    """Of another epoch, older than the log, and of the future."""
    source = Source(log_size=2)
    for value in range(1, 6):
        source.put("x", value)

    assert snapshot_of({"x": 5}, "e1-5") == await seen_after(source, token, 3)


@pytest.mark.parametrize(
    "token", ["x", "e1", "e1-", "-1", "e1--1", "e1-1 ", "e1-1\n", "E1-1", "e1-²", "e1-1-1", "1" * 99]
)
async def test_a_token_that_no_server_gave_is_an_invalid_request(token: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^resume_token: "):
        await anext(Source().feed.watch(token))


async def test_changes_during_a_snapshot_follow_it() -> None:
    source = Source(x=1, y=1)
    watch = source.feed.watch()
    begin = await take(watch, 2)
    source.put("y", 2)

    assert snapshot_of({"x": 1, "y": 1}, "e1-0") == [*begin, *await take(watch, 2)]
    assert [FeedEvent(ADAPTER, "y", 2, "e1-1")] == await take(watch, 1)


async def test_a_watcher_that_falls_behind_the_log_gets_the_newest_state_of_each_key() -> None:
    source = Source(log_size=3, x=0, y=0)
    watch = source.feed.watch()
    await take(watch, 4)
    for value in range(1, 10):
        source.put("x", value)

    assert snapshot_of({"x": 9, "y": 0}, "e1-9") == await take(watch, 4)


class Value:
    """A value whose end of life can be seen."""


async def test_slow_watchers_keep_nothing_alive_but_the_log() -> None:
    source, values = Source(log_size=5), weakref.WeakSet[Value]()
    watches = [source.feed.watch() for _ in range(20)]
    for watch in watches:
        await take(watch, 2)
    for number in range(1000):
        value = Value()
        values.add(value)
        source.put(f"x{number % 3}", value)
    del value

    assert 5 == len(values)
    assert [Value] * 5 == [type(event.value) for event in await seen_after(source, "e1-995", 5)]


async def test_an_idle_watcher_lets_go_of_its_snapshot() -> None:
    source = Source(log_size=1)
    source.put("x", Value())
    old = weakref.ref(source.adapters["x"])
    watch = source.feed.watch()
    await take(watch, 3)
    source.put("x", 2)
    await take(watch, 1)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)

    assert old() is None
    waiting.cancel()


async def test_a_cancelled_watcher_leaves_nothing_behind() -> None:
    source = Source()
    watch = source.feed.watch("e1-0")
    gone = weakref.ref(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    del watch, waiting
    gc.collect()

    assert gone() is None
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def test_closing_ends_all_watchers_wherever_they_are() -> None:
    source = Source(x=1)
    source.put("x", 2)
    source.put("x", 3)
    watches = within_snapshot, within_changes, waiting = [source.feed.watch(token) for token in ("", "e1-0", "e1-2")]
    await take(within_snapshot, 1)
    await take(within_changes, 1)
    next_event = asyncio.ensure_future(anext(waiting, None))
    await asyncio.sleep(0)
    source.feed.close()

    assert await next_event is None
    assert [[]] * 4 == [[event async for event in watch] for watch in (*watches, source.feed.watch())]


async def test_epochs_of_two_feeds_differ() -> None:
    tokens = [(await take(ChangeFeed[object](lambda: ()).watch(), 2))[1].token for _ in range(2)]

    assert tokens[0] != tokens[1]


class Client:
    """Applies what it gets, at its own pace, and holds each change against the one that must come next."""

    def __init__(self) -> None:
        self.state: dict[tuple[EventKind, str], object] = {}
        self.token = ""
        self.permits = asyncio.Semaphore(0)
        self.task: asyncio.Task[None] | None = None

    async def follow(self, feed: ChangeFeed[object], history: Sequence[FeedEvent[object]]) -> None:
        async with aclosing(feed.watch(self.token)) as watch:
            async for event in watch:
                self.apply(event, history)
                await self.permits.acquire()

    def apply(self, event: FeedEvent[object], history: Sequence[FeedEvent[object]]) -> None:
        if event.kind is BEGIN:
            self.state.clear()
        elif event.kind is not END:
            assert not self.token or event == history[int(self.token.partition("-")[2])]
            self.state[event.kind, event.key] = event.value
        self.token = event.token


class FeedMachine(RuleBasedStateMachine):
    """Clients of every pace that break off and come back, beside a source that changes and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clients = [Client(), Client()]
        self.state: dict[tuple[EventKind, str], object] = {}
        self.num_epochs = 0
        self.start()

    def start(self) -> None:
        self.num_epochs += 1
        self.epoch, self.history = f"e{self.num_epochs}", list[FeedEvent[object]]()
        self.feed = ChangeFeed[object](self.snapshot, log_size=4, epoch=self.epoch)

    def snapshot(self) -> Sequence[tuple[EventKind, str, object]]:
        return [(kind, key, value) for (kind, key), value in self.state.items() if value is not None]

    def run(self, client: Client, num_events: int = 1) -> None:
        """Let the loop run until nothing happens any more, and the client read so many events."""

        async def until_idle() -> None:
            for _ in range(num_events):
                client.permits.release()
            for _ in range(2 * num_events + 10):
                await asyncio.sleep(0)

        self.runner.run(until_idle())
        if client.task and client.task.done() and not client.task.cancelled():
            client.task.result()

    @rule(kind=st.sampled_from([ADAPTER, ALIAS]), key=st.sampled_from("abc"), value=st.none() | st.integers())
    def change(self, kind: EventKind, key: str, value: int | None) -> None:
        self.state[kind, key] = value
        self.feed.publish(kind, key, value)
        self.history.append(FeedEvent(kind, key, value, f"{self.epoch}-{len(self.history) + 1}"))

    @rule(index=st.integers(0, 1), num_events=st.integers(1, 5))
    def read(self, index: int, num_events: int) -> None:
        self.connect(index)
        self.run(self.clients[index], num_events)

    @rule(index=st.integers(0, 1))
    def break_off(self, index: int) -> None:
        client = self.clients[index]
        if client.task:
            client.task.cancel()
            self.run(client)
            client.task, client.permits = None, asyncio.Semaphore(0)

    @rule(index=st.integers(0, 1))
    def catch_up(self, index: int) -> None:
        self.connect(index)
        self.run(self.clients[index], 50)
        # What is left of its permits would hurry it later; it waits for news now, and for no permit.
        self.clients[index].permits = asyncio.Semaphore(0)

        present = {key: value for key, value in self.clients[index].state.items() if value is not None}
        assert {place: value for place, value in self.state.items() if value is not None} == present

    @rule()
    def restart(self) -> None:
        self.feed.close()
        for index, client in enumerate(self.clients):
            self.run(client)
            self.break_off(index)
        self.start()

    def connect(self, index: int) -> None:
        client = self.clients[index]
        if client.task is None:
            client.task = self.runner.get_loop().create_task(client.follow(self.feed, self.history))

    def teardown(self) -> None:
        self.catch_up(0)
        self.catch_up(1)
        self.feed.close()
        self.runner.close()


TestEveryClientEndsWithTheStateOfTheSource = FeedMachine.TestCase
TestEveryClientEndsWithTheStateOfTheSource.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
