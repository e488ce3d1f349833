"""A forward that doesn't end: health tells, requests get their statuses all the same, and all goes on once it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from adaptermux_client.errors import from_rpc_error
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.types import Task
from tests.contract.world import Ground, World
from tests.e2e.expected import Expected
from tests.e2e.harness import ScriptedExecutor, eventually, served

pytestmark = pytest.mark.asyncio(loop_scope="session")

INFER, ADMIN = "adaptermux.v1.Infer", "adaptermux.v1.AdapterAdmin"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

_STALL_SECONDS = 0.2
_MAX_QUEUED_ROWS = 4
_PATIENCE_SECONDS = 20.0


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def world(folders: tuple[Path, Path]) -> AsyncIterator[World]:
    """A server that is impatient with its engine, and has a short queue."""
    base, root = folders
    expected = {"sentiment": Expected(base, root / "sentiment", Task.SEQUENCE_CLASSIFICATION)}
    async with served(
        model=str(base),
        adapters={"sentiment": str(root / "sentiment")},
        num_threads=1,
        engine_stall_seconds=_STALL_SECONDS,
        max_batch_rows=_MAX_QUEUED_ROWS,
        max_queued_rows=_MAX_QUEUED_ROWS,
        max_queued_rows_per_adapter=_MAX_QUEUED_ROWS,
        executor="switch",
    ) as harness:
        yield World.around(harness, Ground(root, base, expected))


def _health(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def _request(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def _check(channel: grpc.aio.Channel, service: str) -> int:
    return int((await _health(channel).Check(_request(service))).status)


async def _next(watch: Any) -> int:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        return int((await watch.read()).status)


async def _refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.code, error.reason


@pytest.mark.parametrize("service", ["", INFER])
async def test_a_hung_engine_turns_the_health_of_the_data_listener_until_it_moves(world: World, service: str) -> None:
    data, control = world.harness.data, world.harness.control
    watch = _health(data).Watch(_request(service))
    assert SERVING == await _next(watch)

    with capture_logs() as logs:
        async with world.harness.occupied(world.classify):
            assert NOT_SERVING == await _next(watch)
            assert [NOT_SERVING] * 2 == [await _check(data, ""), await _check(data, INFER)]
            assert [SERVING] * 2 == [await _check(control, ""), await _check(control, ADMIN)]
            # Much longer: it is told once.
            await asyncio.sleep(3 * _STALL_SECONDS)
        assert SERVING == await _next(watch)

    watch.cancel()
    (stalled,) = [line for line in logs if line["event"] == "the engine is stalled"]
    assert ("run", "error") == (stalled["command"], stalled["log_level"])
    assert stalled["seconds"] >= _STALL_SECONDS
    assert "in run\n" in stalled["stack"]
    assert "assert self._go.wait" in stalled["stack"]
    assert 1 == len([line for line in logs if line["event"] == "the engine moves again"])
    response: Any = await world.classify()
    world.expected["sentiment"].assert_answered(0, response.results[0])


async def test_while_the_engine_hangs_requests_end_by_their_deadlines_or_are_refused(world: World) -> None:
    async with world.harness.occupied(world.classify):
        late = [asyncio.ensure_future(_refusal(world.classify(timeout=0.5))) for _ in range(_MAX_QUEUED_ROWS)]
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == _MAX_QUEUED_ROWS)

        refused = await _refusal(world.classify(timeout=_PATIENCE_SECONDS))
        ended = await asyncio.gather(*late)

        assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL") == refused
        assert {grpc.StatusCode.DEADLINE_EXCEEDED} == {code for code, _ in ended}
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == 0)
        waits = asyncio.ensure_future(world.classify())
        await eventually(lambda: world.harness.scheduler.status().num_rows_queued == 1)
    response: Any = await waits
    world.expected["sentiment"].assert_answered(0, response.results[0])


async def test_many_short_forwards_are_no_stall(world: World) -> None:
    """Work without a pause for longer than a stall takes."""
    with capture_logs() as logs:
        until = asyncio.get_running_loop().time() + 3 * _STALL_SECONDS
        while asyncio.get_running_loop().time() < until:
            await world.classify()

    assert [] == [line for line in logs if line["event"] == "the engine is stalled"]


async def test_a_watch_of_an_unknown_service_stays_open_and_a_check_is_not_found(world: World) -> None:
    for channel, other in ((world.harness.data, ADMIN), (world.harness.control, INFER)):
        for service in ("adaptermux.v1.Nothing", other):
            watch = _health(channel).Watch(_request(service))

            assert SERVICE_UNKNOWN == await _next(watch)
            assert (grpc.StatusCode.NOT_FOUND, "") == await _refusal(_health(channel).Check(_request(service)))
            watch.cancel()


async def test_a_load_at_the_start_may_take_longer_than_a_stall(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, root = folders
    install = ScriptedExecutor.install

    def slow(self: ScriptedExecutor, slot: int, prepared: PreparedAdapter) -> None:
        time.sleep(3 * _STALL_SECONDS)
        install(self, slot, prepared)

    monkeypatch.setattr(ScriptedExecutor, "install", slow)
    with capture_logs() as logs:
        async with served(
            model=str(base),
            adapters={"sentiment": str(root / "sentiment")},
            num_threads=1,
            engine_stall_seconds=_STALL_SECONDS,
            executor="switch",
        ) as harness:
            assert SERVING == await _next(_health(harness.data).Watch(_request(INFER)))

    assert [] == [line for line in logs if line["event"] == "the engine is stalled"]
