"""Watches of forwards, blocking and asyncio."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from adaptermux_client import (
    AdminClient,
    AsyncAdminClient,
    BatchInfo,
    BatchRowInfo,
    WatchedBatches,
    errors,
)
from tests.client.fake_answers import UNAVAILABLE, failure
from tests.client.fake_server import FakeServer
from tests.client.watched import batch, row, told

ENOUGH = failure(grpc.StatusCode.INTERNAL, "enough", "INTERNAL")


@pytest.fixture(params=["sync", "async"])
def watch(request: pytest.FixtureRequest, server: FakeServer) -> Callable[..., Any]:
    """Watch until it ends by an error, with either client; gives what was told and the error."""

    async def follow(**kwargs: Any) -> tuple[list[Any], errors.AdapterMuxClientError]:
        found: list[Any] = []
        with pytest.raises(errors.AdapterMuxClientError) as caught:  # noqa: PT012
            if request.param == "sync":
                with AdminClient(server.address) as client:
                    for each in client.watch_batches(**kwargs):
                        found.append(each)
            else:
                async with AsyncAdminClient(server.address) as client_:
                    async for each in client_.watch_batches(**kwargs):
                        found.append(each)
        return found, caught.value

    return follow


async def test_forwards_are_told_with_their_rows(watch: Callable[..., Any], server: FakeServer) -> None:
    """Times are of the server, in seconds."""
    rows = row("a", 5, waited_us=1500, request="r-1"), row("", 7)
    server.admin.batches = [[told(batch(*rows, start_us=2, traversal_us=40), queued=3, missed=9), ENOUGH]]

    found, _ = await watch()

    forward = BatchInfo(
        start_time=datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=2),
        traversal_seconds=0.00004,
        compute_seconds=0.001,
        kernel="uniform",
        num_padded_tokens=14,
        rows=(BatchRowInfo("a", 5, 0.0015, "r-1"), BatchRowInfo("", 7, 0.0, "")),
    )
    assert [WatchedBatches((forward,), num_missed=9, num_rows_queued=3)] == found
    assert 12 == forward.num_tokens


async def test_a_watch_of_forwards_ends_with_its_timeout(watch: Callable[..., Any], server: FakeServer) -> None:
    """After what was told before."""
    server.admin.batches = [[told(batch(row("a")))]]

    found, error = await watch(timeout=0.5)

    assert (1, errors.DeadlineExceededError) == (len(found), type(error))


async def test_a_lost_connection_is_an_error(watch: Callable[..., Any], server: FakeServer) -> None:
    """Whoever goes on knows that something may lie between."""
    server.admin.batches = [[told(batch(row("a"))), UNAVAILABLE]]

    found, error = await watch()

    assert (1, errors.UnavailableError) == (len(found), type(error))


def test_closing_a_watch_of_forwards_cancels_it(server: FakeServer) -> None:
    """The server hears of it."""
    server.admin.batches = [[told(batch(row("a")))]]

    with AdminClient(server.address) as client:
        watching = client.watch_batches()
        next(watching)
        watching.close()

        assert server.admin.watch_ended.wait(10)


async def test_closing_an_asyncio_watch_of_forwards_cancels_it(server: FakeServer) -> None:
    """As above."""
    server.admin.batches = [[told(batch(row("a")))]]

    async with AsyncAdminClient(server.address) as client:
        watching = client.watch_batches()
        await anext(watching)
        await watching.aclose()

        assert await asyncio.to_thread(server.admin.watch_ended.wait, 10)
