"""Retries, deadlines, cancellation, and the bounds of a stream."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2

from adaptermux_client import (
    AdapterMuxClient,
    AnalyzeRequest,
    AsyncAdapterMuxClient,
    channel_options,
    errors,
)
from tests.client.conftest import Ask
from tests.client.fake_answers import UNAVAILABLE, failure
from tests.client.fake_server import FakeServer

REQUEST = AnalyzeRequest(["sentiment"], "good film")
QUEUE_FULL = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "QUEUE_FULL", retry_seconds=0.1)


@pytest.mark.parametrize("status", [UNAVAILABLE, QUEUE_FULL], ids=["UNAVAILABLE", "QUEUE_FULL"])
async def test_inference_is_retried_until_it_answers(ask: Ask, server: FakeServer, status: Status) -> None:
    """Two failures and then an answer look like one answer."""
    server.script.failures = [status, status]

    results = await ask("classify", "sentiment", "good")

    assert results[0].best.label == "positive"
    assert len(server.script.requests) == 3


async def test_retries_end(ask: Ask, server: FakeServer) -> None:
    """Four tries, then the last failure."""
    server.script.failures = [UNAVAILABLE] * 9

    with pytest.raises(errors.UnavailableError):
        await ask("classify", "sentiment", "good")

    assert len(server.script.requests) == 4


async def test_what_a_retry_cannot_mend_is_not_retried(ask: Ask, server: FakeServer) -> None:
    """An invalid request is sent once."""
    server.script.failures = [failure(grpc.StatusCode.INVALID_ARGUMENT, "bad", "INVALID_REQUEST")]

    with pytest.raises(errors.InvalidRequestError):
        await ask("classify", "sentiment", "good")

    assert len(server.script.requests) == 1


@pytest.mark.parametrize(("method", "source"), [("load_adapter", ("new", "/a")), ("unload_adapter", ("pos",))])
async def test_changes_are_never_repeated_by_themselves(
    ask_admin: Ask, server: FakeServer, method: str, source: tuple[str, ...]
) -> None:
    """A load or an unload may have happened although its answer was lost."""
    server.script.failures = [UNAVAILABLE]

    with pytest.raises(errors.UnavailableError):
        await ask_admin(method, *source)

    assert len(server.script.requests) == 1


async def test_reading_from_the_admin_listener_is_retried(ask_admin: Ask, server: FakeServer) -> None:
    """A listing changes nothing."""
    server.script.failures = [UNAVAILABLE]

    assert len(await ask_admin("adapters")) == 2


async def test_a_call_that_takes_too_long_is_deadline_exceeded(ask: Ask, server: FakeServer) -> None:
    """Without a reason: it wasn't the server that gave up."""
    server.script.hold = threading.Event()

    with pytest.raises(errors.DeadlineExceededError) as caught:
        await ask("classify", "sentiment", "good", timeout=0.2)

    assert caught.value.reason == ""


async def test_nobody_at_the_address_is_unavailable(ask: Ask, server: FakeServer) -> None:
    """A refused connection has a class of its own, and comes soon."""
    server.close()

    with pytest.raises(errors.UnavailableError):
        await ask("classify", "sentiment", "good", timeout=10)


async def test_cancelling_the_task_cancels_the_call(server: FakeServer) -> None:
    """The server hears of it, so the request's place in the queue is free again."""
    server.script.hold = threading.Event()
    async with AsyncAdapterMuxClient(server.address) as client:
        task = asyncio.create_task(client.classify("sentiment", "good"))
        assert await asyncio.to_thread(server.script.arrived.wait, 10)

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.script.gone.wait, 10)


def test_a_channel_of_the_callers_is_used_and_left_open(server: FakeServer) -> None:
    """The caller may set it up for TLS, and closes it."""
    with grpc.insecure_channel(server.address, options=channel_options()) as channel:
        for _ in range(2):
            with AdapterMuxClient(channel=channel) as client:
                assert client.model().hidden_size == 384


def test_health_follows_the_server(server: FakeServer) -> None:
    """A server that drains says so."""
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    with AdapterMuxClient(server.address) as client:
        assert client.health() == "NOT_SERVING"


def test_a_stream_draws_no_more_requests_than_may_be_in_flight(server: FakeServer) -> None:
    """While nothing is answered three requests are sent and a fourth waits for its place."""
    server.script.hold = threading.Event()
    drawn, enough = [], threading.Event()

    def endless() -> Iterator[AnalyzeRequest]:
        while True:
            drawn.append(REQUEST)
            if len(drawn) == 4:
                enough.set()
            yield REQUEST

    with AdapterMuxClient(server.address) as client:
        stream = client.stream_analyze(endless(), max_in_flight=3)
        reader = threading.Thread(target=next, args=(stream,))
        reader.start()
        assert enough.wait(10)
        for _ in range(20):  # time in which an unbounded feed draws hundreds
            client.health()
        num_drawn = len(drawn)
        server.script.hold.set()
        reader.join(10)

    assert num_drawn == 4


async def test_an_asyncio_stream_draws_no_more_requests_than_may_be_in_flight(server: FakeServer) -> None:
    """As above; the source may be asynchronous."""
    server.script.hold = threading.Event()
    drawn, enough = [], asyncio.Event()

    async def endless() -> AsyncIterator[AnalyzeRequest]:
        while True:
            drawn.append(REQUEST)
            if len(drawn) == 4:
                enough.set()
            yield REQUEST

    async with AsyncAdapterMuxClient(server.address) as client:
        stream = client.stream_analyze(endless(), max_in_flight=3)
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.wait_for(enough.wait(), 10)
        for _ in range(20):
            await client.health()
        num_drawn = len(drawn)
        server.script.hold.set()
        await reader
        await stream.aclose()

    assert num_drawn == 4


@pytest.mark.parametrize("num_requests", [0, 1, 100])
async def test_a_stream_answers_each_request_once(ask: Ask, num_requests: int) -> None:
    """Also none at all, and many more than may be in flight."""
    outcomes = await ask("stream_analyze", [REQUEST] * num_requests, max_in_flight=3)

    assert sorted(outcome.index for outcome in outcomes) == list(range(num_requests))


async def test_closing_an_asyncio_stream_cancels_it(server: FakeServer) -> None:
    """The server hears of it, and the client stays usable."""
    go = asyncio.Event()

    async def source() -> AsyncIterator[AnalyzeRequest]:
        yield REQUEST
        await go.wait()
        yield REQUEST

    async with AsyncAdapterMuxClient(server.address) as client:
        stream = client.stream_analyze(source())
        await anext(stream)
        server.script.hold = threading.Event()
        go.set()
        assert await asyncio.to_thread(server.script.arrived.wait, 10)

        await stream.aclose()

        assert await asyncio.to_thread(server.script.gone.wait, 10)


def test_closing_a_stream_cancels_it(server: FakeServer) -> None:
    """As above."""
    go = threading.Event()

    def source() -> Iterator[AnalyzeRequest]:
        yield REQUEST
        go.wait(10)
        yield REQUEST

    with AdapterMuxClient(server.address) as client:
        stream = client.stream_analyze(source())
        next(stream)
        server.script.hold = threading.Event()
        go.set()
        assert server.script.arrived.wait(10)

        stream.close()

        assert server.script.gone.wait(10)


def test_closing_a_stream_lets_its_source_go(server: FakeServer) -> None:
    """The thread that draws requests doesn't wait for a place for ever."""
    waits, released = threading.Event(), threading.Event()

    def source() -> Iterator[AnalyzeRequest]:
        try:
            yield REQUEST
            yield REQUEST
            waits.set()  # the one before is in flight, so the next one waits for a place
            yield REQUEST
        finally:
            released.set()

    with AdapterMuxClient(server.address) as client:
        stream = client.stream_analyze(source(), max_in_flight=1)
        next(stream)
        assert waits.wait(10)

        stream.close()

        assert released.wait(10)


async def test_what_the_source_of_a_stream_raises_comes_after_the_outcomes_before(ask: Ask, server: FakeServer) -> None:
    """The caller's own bug isn't dressed as a failure of the network."""

    def broken() -> Iterator[AnalyzeRequest]:
        yield REQUEST
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await ask("stream_analyze", broken())

    assert len(server.script.requests) == 1


async def test_a_stream_that_breaks_raises(ask: Ask, server: FakeServer) -> None:
    """A failure of the stream as a whole is an error of the loop."""
    server.script.failures = [failure(grpc.StatusCode.INTERNAL, "incident 12", "INTERNAL", {"incident": "12"})]

    with pytest.raises(errors.InternalError, match="incident 12"):
        await ask("stream_analyze", [REQUEST])


async def test_a_stream_needs_room_for_one_request(ask: Ask) -> None:
    """A bound below one would wait for ever."""
    with pytest.raises(ValueError, match="at least 1"):
        await ask("stream_analyze", [REQUEST], max_in_flight=0)
