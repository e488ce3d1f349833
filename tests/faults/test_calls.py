"""A call that is cancelled, fails, or whose client vanishes leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from adaptermux.v1 import infer_pb2
from adaptermux_server.types import BatchPlan
from tests.contract.world import World, refusal
from tests.e2e.expected import TEXTS
from tests.e2e.harness import eventually, plain_channel
from tests.faults.leftovers import nothing_left_behind, settle

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ROWS = 3
_TIMES = 5


async def _cancelled_while_queued(world: World) -> None:
    async with world.harness.occupied(world.embed):
        call = asyncio.ensure_future(world.classify(num_rows=_ROWS))
        await _queued(world, _ROWS)
        call.cancel()
        await _queued(world, 0)


async def _cancelled_while_computing(world: World) -> None:
    with world.harness.executor.held():
        started = world.harness.executor.num_started
        call = asyncio.ensure_future(world.classify(num_rows=_ROWS))
        await eventually(lambda: world.harness.executor.num_started > started)
        call.cancel()
        await eventually(lambda: world.harness.registry.get("sentiment").num_in_flight == 0)


async def _deadline_passed(world: World) -> None:
    async with world.harness.occupied(world.embed):
        await refusal(world.classify(num_rows=_ROWS, timeout=0.05))
        await _queued(world, 0)


async def _failed(world: World) -> None:
    def refuse(plan: BatchPlan) -> BatchPlan:
        raise RuntimeError("the forward broke")

    world.harness.executor.tampering.append(refuse)
    # Printing the cause takes much longer than all the rest.
    with capture_logs():
        await refusal(world.classify(num_rows=_ROWS))


async def _refused(world: World) -> None:
    await refusal(world.classify("nobody"))
    inputs = [infer_pb2.Input(text="cat " * 1000)]
    await refusal(world.infer.Classify(infer_pb2.ClassifyRequest(adapter="sentiment", inputs=inputs)))


async def _vanished(world: World) -> None:
    """Its connection is gone while its call waits."""
    async with world.harness.occupied(world.embed):
        channel = plain_channel(world.harness.server.data_address)
        request = infer_pb2.EmbedRequest(inputs=[infer_pb2.Input(text=TEXTS[0])] * _ROWS)
        method: Any = channel.unary_unary("/adaptermux.v1.Infer/Embed")
        call = method(request.SerializeToString())
        await _queued(world, _ROWS)
        await channel.close()
        await _queued(world, 0)
    assert call.done()


async def _vanished_while_streaming(world: World) -> None:
    """Some of its requests are answered, some wait, and none of its responses was read."""
    async with world.harness.occupied(world.embed):
        stream = world.infer.StreamAnalyze()
        for index in range(_ROWS):
            tasks, inputs = [infer_pb2.AnalyzeTask(adapter="pos")], [infer_pb2.Input(text=TEXTS[0])]
            request = infer_pb2.AnalyzeRequest(tasks=tasks, inputs=inputs)
            await stream.write(infer_pb2.StreamAnalyzeRequest(request_id=str(index), request=request))
        await _queued(world, _ROWS)
        stream.cancel()
        await _queued(world, 0)


async def _queued(world: World, num_rows: int) -> None:
    await eventually(lambda: world.harness.scheduler.status().num_rows_queued == num_rows)


@pytest.mark.parametrize(
    "fault",
    [
        _cancelled_while_queued,
        _cancelled_while_computing,
        _deadline_passed,
        _failed,
        _refused,
        _vanished,
        _vanished_while_streaming,
    ],
    ids=lambda fault: fault.__name__.strip("_").replace("_", "-"),
)
async def test_a_call_that_ends_badly_leaves_nothing_behind(
    the_world: World, fault: Callable[[World], Awaitable[None]]
) -> None:
    """No row, no lease, no answer and no tensor stays alive; whoever is asked next answers right."""
    await fault(the_world)  # whatever is made once only
    await settle(the_world)

    with nothing_left_behind():
        for _ in range(_TIMES):
            await fault(the_world)
        await settle(the_world)
