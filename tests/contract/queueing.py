"""Rows 8, 9, 10 and 25: a full queue, deadlines, cancelled calls, and forwards that fail."""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
from structlog.testing import capture_logs

from adaptermux.v1 import infer_pb2
from adaptermux_server.types import BatchPlan
from tests.contract.world import (
    MAX_QUEUED_ROWS,
    MAX_QUEUED_ROWS_PER_ADAPTER,
    Case,
    World,
    assert_refused,
    refusal,
)
from tests.e2e.expected import TEXTS
from tests.e2e.harness import eventually

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
_SECRET = "what the engine says"


def _depth(world: World) -> int:
    return world.harness.scheduler.status().num_rows_queued


async def _queued(world: World, call: Awaitable[object], num_rows: int) -> "asyncio.Future[object]":
    """Make a call whose rows wait behind an occupied engine."""
    before = _depth(world)
    future = asyncio.ensure_future(call)
    await eventually(lambda: _depth(world) == before + num_rows)
    return future


async def _share_full(world: World) -> None:
    async with world.harness.occupied(world.embed):
        full = await _queued(world, world.classify(num_rows=MAX_QUEUED_ROWS_PER_ADAPTER), MAX_QUEUED_ROWS_PER_ADAPTER)
        error = await refusal(world.classify())
        other = await _queued(world, world.tag(4), 4)
    assert_refused(error, EXHAUSTED, "QUEUE_FULL", says=["sentiment", str(MAX_QUEUED_ROWS_PER_ADAPTER)])
    assert ("sentiment", str(MAX_QUEUED_ROWS_PER_ADAPTER)) == (error.metadata["scope"], error.metadata["limit"])
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds > 0
    _assert_right(world, "sentiment", await full)
    _assert_right(world, "pos", await other)


async def _server_full(world: World) -> None:
    num_left = MAX_QUEUED_ROWS - MAX_QUEUED_ROWS_PER_ADAPTER
    async with world.harness.occupied(world.embed):
        first = await _queued(world, world.classify(num_rows=MAX_QUEUED_ROWS_PER_ADAPTER), MAX_QUEUED_ROWS_PER_ADAPTER)
        second = await _queued(world, world.tag(num_left), num_left)
        error = await refusal(world.embed())
    assert_refused(error, EXHAUSTED, "QUEUE_FULL", says=["server", str(MAX_QUEUED_ROWS)])
    assert ("server", str(MAX_QUEUED_ROWS)) == (error.metadata["scope"], error.metadata["limit"])
    assert error.retry_after_seconds is not None
    assert error.retry_after_seconds > 0
    _assert_right(world, "sentiment", await first)
    _assert_right(world, "pos", await second)


async def _never_fits(world: World) -> None:
    rejected = (await world.status()).rows.rejected
    error = await refusal(world.classify(num_rows=MAX_QUEUED_ROWS_PER_ADAPTER + 1))
    assert_refused(error, EXHAUSTED, "QUEUE_FULL")
    assert rejected + MAX_QUEUED_ROWS_PER_ADAPTER + 1 == (await world.status()).rows.rejected


async def _deadline_of_a_millisecond(world: World) -> None:
    before = world.harness.scheduler.status()
    with world.harness.executor.held():
        error = await refusal(world.classify(timeout=0.001))
        await eventually(lambda: _depth(world) == 0)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == error.code
    after = world.harness.scheduler.status()
    assert (before.num_batches, before.rows.answered) == (after.num_batches, after.rows.answered)


async def _deadline_in_the_queue(world: World) -> None:
    before = world.harness.scheduler.status()
    async with world.harness.occupied(world.embed):
        error = await refusal(world.classify(num_rows=3, timeout=0.2))
        await eventually(lambda: _depth(world) == 0)
        waits_on = await _queued(world, world.classify(), 1)
    _assert_right(world, "sentiment", await waits_on)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == error.code
    after = world.harness.scheduler.status()
    # The embedding and the call that waited on. The deadline reaches the rows from two sides: by the cancelled call,
    # and by the policy.
    assert 2 == after.num_batches - before.num_batches
    gone = after.rows.expired + after.rows.cancelled - before.rows.expired - before.rows.cancelled
    assert 3 == gone


async def _cancelled_in_the_queue(world: World) -> None:
    batches = world.harness.scheduler.status().num_batches
    async with world.harness.occupied(world.embed):
        call = await _queued(world, world.classify(num_rows=8), 8)
        other = await _queued(world, world.tag(2), 2)
        call.cancel()
        await eventually(lambda: _depth(world) == 2)
    _assert_right(world, "pos", await other)
    assert batches + 2 == world.harness.scheduler.status().num_batches


async def _cancelled_while_computing(world: World) -> None:
    cancelled = world.harness.scheduler.status().rows.cancelled
    with world.harness.executor.held():
        started = world.harness.executor.num_started
        call = asyncio.ensure_future(world.classify(num_rows=2))
        await eventually(lambda: world.harness.executor.num_started > started)
        other = await _queued(world, world.tag(2), 2)
        call.cancel()
        await eventually(lambda: _num_in_flight(world, "sentiment") == 0)
    _assert_right(world, "pos", await other)
    assert cancelled + 2 == world.harness.scheduler.status().rows.cancelled


async def _cancelled_stream(world: World) -> None:
    stream = world.infer.StreamAnalyze()
    async with world.harness.occupied(world.embed):
        for request_id in "abc":
            await stream.write(_streamed(request_id))
        await eventually(lambda: _depth(world) == 3)
        stream.cancel()
        await eventually(lambda: _depth(world) == 0 and _num_in_flight(world, "sentiment") == 0)


async def _forward_that_raises(world: World) -> None:
    def refuse(plan: BatchPlan) -> BatchPlan:
        raise RuntimeError(_SECRET)

    with _next_plan(world, refuse):
        await _assert_incident(world)


async def _forward_that_breaks_midway(world: World) -> None:
    """The adapter is activated, and then a token that no vocabulary has meets the embedding."""

    def poison(plan: BatchPlan) -> BatchPlan:
        rows = [replace(row, columns=dict.fromkeys(row.columns, (10**9,) * row.num_tokens)) for row in plan.rows]
        return replace(plan, rows=tuple(rows))

    with _next_plan(world, poison):
        await _assert_incident(world)


async def _assert_incident(world: World) -> None:
    """The next plan fails, and no other call is the worse for it."""
    failed = world.harness.scheduler.status().rows.failed
    with world.harness.executor.held():
        started = world.harness.executor.num_started
        failing = asyncio.ensure_future(refusal(world.classify(num_rows=2)))
        await eventually(lambda: world.harness.executor.num_started > started)
        others = [await _queued(world, world.tag(2), 2), await _queued(world, world.classify(num_rows=2), 2)]
        with capture_logs() as log:
            world.harness.executor.release()
            error = await failing
    assert_refused(error, grpc.StatusCode.INTERNAL, "INTERNAL", says=[error.metadata["incident"]])
    assert [error.metadata["incident"]] == [line["incident"] for line in log if "exc_info" in line]
    assert _SECRET not in error.message
    assert "index" not in error.message
    _assert_right(world, "pos", await others[0])
    _assert_right(world, "sentiment", await others[1])
    assert failed + 2 == world.harness.scheduler.status().rows.failed


@contextmanager
def _next_plan(world: World, tamper: "object") -> Iterator[None]:
    world.harness.executor.tampering.append(tamper)  # type: ignore[arg-type]
    yield
    assert not world.harness.executor.tampering


def _streamed(request_id: str) -> infer_pb2.StreamAnalyzeRequest:
    tasks, inputs = [infer_pb2.AnalyzeTask(adapter="sentiment")], [infer_pb2.Input(text=TEXTS[0])]
    request = infer_pb2.AnalyzeRequest(tasks=tasks, inputs=inputs)
    return infer_pb2.StreamAnalyzeRequest(request_id=request_id, request=request)


def _num_in_flight(world: World, adapter_id: str) -> int:
    return world.harness.registry.get(adapter_id).num_in_flight


def _assert_right(world: World, adapter: str, response: object) -> None:
    for index, result in enumerate(response.results):  # type: ignore[attr-defined]
        world.expected[adapter].assert_answered(index % len(TEXTS), result)


CASES = [
    Case(8, "share-of-an-adapter-full", _share_full, inside=True),
    Case(8, "queue-full", _server_full, inside=True),
    Case(8, "more-rows-than-any-queue-takes", _never_fits),
    Case(9, "deadline-of-a-millisecond", _deadline_of_a_millisecond, inside=True),
    Case(9, "deadline-passes-in-the-queue", _deadline_in_the_queue, inside=True),
    Case(10, "cancelled-in-the-queue", _cancelled_in_the_queue, inside=True),
    Case(10, "cancelled-while-computing", _cancelled_while_computing, inside=True),
    Case(10, "cancelled-stream", _cancelled_stream, inside=True),
    Case(25, "forward-that-raises", _forward_that_raises, inside=True),
    Case(25, "forward-that-breaks-midway", _forward_that_breaks_midway, inside=True),
]
