"""Watches, blocking and asyncio: events, lost connections, ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client import (
    AdapterChanged,
    AdapterRemoved,
    AdminClient,
    AliasChanged,
    AliasRemoved,
    AliasTarget,
    AsyncAdminClient,
    SnapshotBegan,
    SnapshotEnded,
    errors,
    watching,
)
from tests.client.fake_answers import SENTIMENT, UNAVAILABLE, failure
from tests.client.fake_server import FakeServer

Event = pb.WatchAdaptersResponse
BEGIN = Event(snapshot_begin=pb.SnapshotBegin())
END = Event(snapshot_end=pb.SnapshotEnd(), resume_token="t1")
ENOUGH = failure(grpc.StatusCode.INTERNAL, "enough", "INTERNAL")


def removed(name: str, token: str) -> Event:
    """An adapter that is gone."""
    return Event(removed_adapter_id=name, resume_token=token)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_DELAY_SECONDS", 0.001)


@pytest.fixture(params=["sync", "async"])
def watch(request: pytest.FixtureRequest, server: FakeServer) -> Callable[..., Any]:
    """Watch until it ends by an error, with either client; gives the events and the error."""

    async def follow(*args: Any, **kwargs: Any) -> tuple[list[Any], errors.AdapterMuxClientError]:
        events: list[Any] = []
        with pytest.raises(errors.AdapterMuxClientError) as caught:  # noqa: PT012
            if request.param == "sync":
                with AdminClient(server.address) as client:
                    for event in client.watch_adapters(*args, **kwargs):
                        events.append(event)
            else:
                async with AsyncAdminClient(server.address) as client_:
                    async for event in client_.watch_adapters(*args, **kwargs):
                        events.append(event)
        return events, caught.value

    return follow


def tokens(server: FakeServer) -> list[str]:
    """With which each connection began."""
    return [request.resume_token for request in server.script.requests]  # type: ignore[attr-defined]


async def test_each_kind_of_event_has_its_class(watch: Callable[..., Any], server: FakeServer) -> None:
    """With its token; one of a kind that is newer than the client is passed over."""
    alias = pb.Alias(name="prod", targets=[pb.AliasTarget(adapter="pos", weight=1)])
    server.admin.watches = [
        [
            BEGIN,
            Event(adapter=SENTIMENT),
            Event(alias=alias),
            END,
            Event(resume_token="t2"),
            removed("pos", "t3"),
            Event(removed_alias_name="prod", resume_token="t4"),
            ENOUGH,
        ]
    ]

    events, _ = await watch()

    kinds = [SnapshotBegan, AdapterChanged, AliasChanged, SnapshotEnded, AdapterRemoved, AliasRemoved]
    assert kinds == [type(event) for event in events]
    assert ["", "", "", "t1", "t3", "t4"] == [event.resume_token for event in events]
    assert events[1].adapter.labels == ("negative", "positive")
    assert events[2].alias.targets == (AliasTarget("pos", 1),)
    assert ("pos", "prod") == (events[4].adapter_id, events[5].name)


async def test_a_lost_connection_goes_on_after_the_last_event(watch: Callable[..., Any], server: FakeServer) -> None:
    """Also through several failures in a row; nothing is told twice."""
    server.admin.watches = [
        [BEGIN, END, removed("a", "t2"), UNAVAILABLE],
        [UNAVAILABLE],
        [failure(grpc.StatusCode.CANCELLED, "the server stops")],
        [removed("b", "t3"), ENOUGH],
    ]
    lost: list[Exception] = []

    events, error = await watch(on_lost=lost.append)

    assert [each.adapter_id for each in events[2:]] == ["a", "b"]
    assert ["", "t2", "t2", "t2"] == tokens(server)
    assert [errors.UnavailableError, errors.UnavailableError, errors.CallCancelledError] == [
        type(each) for each in lost
    ]
    assert isinstance(error, errors.InternalError)


async def test_a_snapshot_that_breaks_off_is_begun_again(watch: Callable[..., Any], server: FakeServer) -> None:
    """What was known before it is void, and so is the token."""
    server.admin.watches = [[BEGIN, Event(adapter=SENTIMENT), UNAVAILABLE], [ENOUGH]]

    await watch("old")

    assert tokens(server) == ["old", ""]


async def test_a_token_of_the_callers_is_kept_through_failures(watch: Callable[..., Any], server: FakeServer) -> None:
    """Whoever has one has been connected before."""
    server.admin.watches = [[UNAVAILABLE], [ENOUGH]]

    await watch("t9")

    assert tokens(server) == ["t9", "t9"]


async def test_a_first_connection_that_fails_is_an_error(watch: Callable[..., Any], server: FakeServer) -> None:
    """Nobody at the address is told at once."""
    server.close()

    events, error = await watch()

    assert ([], errors.UnavailableError) == (events, type(error))


async def test_without_reconnection_a_lost_connection_is_an_error(
    watch: Callable[..., Any], server: FakeServer
) -> None:
    """After the events before it."""
    server.admin.watches = [[BEGIN, UNAVAILABLE], [ENOUGH]]

    events, error = await watch(reconnect=False)

    assert (1, errors.UnavailableError) == (len(events), type(error))
    assert len(server.script.requests) == 1


async def test_what_a_new_connection_cannot_mend_is_an_error(watch: Callable[..., Any], server: FakeServer) -> None:
    """A token that no server gave, for example."""
    server.admin.watches = [[failure(grpc.StatusCode.INVALID_ARGUMENT, "no token", "INVALID_REQUEST")]]

    _, error = await watch("nonsense")

    assert isinstance(error, errors.InvalidRequestError)


async def test_a_watch_ends_with_its_timeout(watch: Callable[..., Any], server: FakeServer) -> None:
    """Although a connection was lost within it."""
    server.admin.watches = [[BEGIN, END, UNAVAILABLE], [removed("a", "t2")]]

    events, error = await watch(timeout=0.5)

    assert (3, errors.DeadlineExceededError) == (len(events), type(error))


def test_the_wait_for_a_new_connection_grows_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is spread, and begins anew after an event."""
    monkeypatch.setattr(watching, "FIRST_DELAY_SECONDS", 0.1)
    lost = errors.UnavailableError("lost", grpc.StatusCode.UNAVAILABLE)
    watch = watching.Watch("t", True, None, None)

    delays = [watch.delay_after(lost) for _ in range(2000)]
    watch.seen(END)

    longest = [min(5.0, 0.1 * 2**number) for number in range(10)]
    assert all(bound / 2 <= delay <= bound for delay, bound in zip(delays, longest, strict=False))
    assert all(2.5 <= delay <= 5.0 for delay in delays[10:])
    assert len(set(delays[10:])) > 100
    assert watch.delay_after(lost) <= 0.1


def test_an_end_in_good_order_is_no_end_of_the_watch() -> None:
    """It goes on after a wait; without reconnection it is told, never a silent end."""
    watch, once = (watching.Watch("t", reconnect, None, None) for reconnect in (True, False))

    assert watch.delay_after(None) > 0
    with pytest.raises(errors.UnavailableError, match="ended the watch"):
        once.delay_after(None)


def test_closing_a_watch_cancels_it(server: FakeServer) -> None:
    """The server hears of it."""
    server.admin.watches = [[BEGIN]]

    with AdminClient(server.address) as client:
        events = client.watch_adapters()
        next(events)
        events.close()

        assert server.admin.watch_ended.wait(10)


async def test_closing_an_asyncio_watch_cancels_it(server: FakeServer) -> None:
    """As above."""
    server.admin.watches = [[BEGIN]]

    async with AsyncAdminClient(server.address) as client:
        events = client.watch_adapters()
        await anext(events)
        await events.aclose()

        assert await asyncio.to_thread(server.admin.watch_ended.wait, 10)


def test_the_wait_ends_with_the_watch() -> None:
    """A deadline isn't slept through."""
    watch = watching.Watch("t", True, 0.01, None)
    lost = errors.UnavailableError("lost", grpc.StatusCode.UNAVAILABLE)

    assert max(watch.delay_after(lost) for _ in range(20)) <= 0.01
