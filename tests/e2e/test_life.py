"""What a server says of itself, from its start to its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux_client.errors import from_rpc_error
from adaptermux_server import app
from adaptermux_server.config import ServerSettings
from adaptermux_server.errors import SourceInvalidError
from adaptermux_server.transport.listeners import ListenError
from adaptermux_server.types import Task
from tests.e2e.asking import ask
from tests.e2e.harness import Harness, ending_before_its_clients, eventually
from tests.e2e.zoo import Zoo

pytestmark = pytest.mark.asyncio(loop_scope="session")

INFER, ADMIN = "adaptermux.v1.Infer", "adaptermux.v1.AdapterAdmin"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Ending:
    """A server that a test brings to its end itself."""

    def __init__(self, zoo: Zoo) -> None:
        adapters = {"topic": str(zoo.residents["topic"].folder)}
        self._context = ending_before_its_clients(model=str(zoo.base), adapters=adapters, num_threads=1)
        self._stopping: asyncio.Task[object] | None = None

    async def start(self) -> Harness:
        return await self._context.__aenter__()

    def stop(self) -> "asyncio.Task[object]":
        """Begin what a signal begins, unless it has begun; the task ends once the server has."""
        self._stopping = self._stopping or asyncio.create_task(self._context.__aexit__(None, None, None))
        return self._stopping


Served: TypeAlias = tuple[Ending, Harness]


@pytest_asyncio.fixture(loop_scope="session")
async def ending(zoo: Zoo) -> AsyncIterator[Served]:
    server = Ending(zoo)
    harness = await server.start()
    yield server, harness
    await server.stop()
    await harness.close()


async def _health(channel: grpc.aio.Channel, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


@pytest.mark.parametrize("service", ["", INFER])
async def test_the_data_listener_is_healthy_as_a_whole_and_by_service(harness: Harness, service: str) -> None:
    assert SERVING == await _health(harness.data, service)


@pytest.mark.parametrize("service", ["", ADMIN])
async def test_the_admin_listener_is_healthy_as_a_whole_and_by_service(harness: Harness, service: str) -> None:
    assert SERVING == await _health(harness.control, service)


async def test_health_of_an_unknown_service_is_not_found(harness: Harness) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        await _health(harness.data, "adaptermux.v1.Nothing")

    assert grpc.StatusCode.NOT_FOUND == caught.value.code()


async def test_reflection_lists_the_services_of_each_listener_and_describes_them(harness: Harness) -> None:
    """A client that has no .proto file finds the service, and the file that defines it."""
    for channel, service in ((harness.data, INFER), (harness.control, ADMIN)):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=service),
        ]
        listed, found = [response async for response in stub.ServerReflectionInfo(iter(requests))]

        ours = [each.name for each in listed.list_services_response.service if each.name.startswith("adaptermux")]
        assert [service] == ours
        file = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
        assert service.rpartition(".")[2] in {each.name for each in file.service}


async def test_a_stop_turns_health_first_then_finishes_what_was_accepted(
    ending: tuple[Ending, Harness], zoo: Zoo
) -> None:
    """While a call is computed and another waits: NOT_SERVING, no new calls, and both get their right answers."""
    server, harness = ending
    task = Task.SEQUENCE_CLASSIFICATION
    stub: Any = health_pb2_grpc.HealthStub(harness.data)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=INFER))
    assert SERVING == (await watch.read()).status
    async with harness.occupied(lambda: ask(harness, "topic", task, [0])):
        queued = asyncio.ensure_future(ask(harness, "topic", task, [1]))
        await eventually(lambda: harness.scheduler.status().num_rows_queued == 1)

        server.stop()

        assert NOT_SERVING == (await watch.read()).status
        assert NOT_SERVING == await _health(harness.data, "")
        assert NOT_SERVING == await _health(harness.control, ADMIN)
        with pytest.raises(grpc.RpcError) as caught:
            await ask(harness, "topic", task, [0])
        refused = from_rpc_error(caught.value)
        assert (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN") == (refused.code, refused.reason)
    _, results = await queued
    zoo.residents["topic"].assert_answered(1, results[0])
    await server.stop()


async def test_a_stop_ends_streams_with_an_answer_to_each_accepted_request(
    ending: tuple[Ending, Harness], zoo: Zoo
) -> None:
    """A stream that stays open doesn't hold the server up, and what it had asked is answered."""
    server, harness = ending
    stream = harness.infer.StreamAnalyze()
    async with harness.occupied(lambda: ask(harness, "topic", Task.SEQUENCE_CLASSIFICATION, [0])):
        request = infer_pb2.AnalyzeRequest(
            tasks=[infer_pb2.AnalyzeTask(adapter="topic")], inputs=[infer_pb2.Input(text="a dog ran")]
        )
        await stream.write(infer_pb2.StreamAnalyzeRequest(request_id="a", request=request))
        await eventually(lambda: harness.scheduler.status().num_rows_queued == 1)
        stopping = server.stop()
    response: Any = await stream.read()
    assert ("a", "response") == (response.request_id, response.WhichOneof("outcome"))
    async with asyncio.timeout(20):
        await stopping


async def test_a_taken_port_is_refused_by_name(harness: Harness, zoo: Zoo) -> None:
    taken = harness.server.data_address

    with pytest.raises(ListenError, match=taken):
        await _run(model=str(zoo.base), address=taken)


@pytest.mark.parametrize("address", ["{taken}", "127.0.0.1:no-port", "127.0.0.1:99999"])
async def test_metrics_that_cannot_be_served_stop_the_start_by_name(harness: Harness, zoo: Zoo, address: str) -> None:
    address = address.format(taken=harness.server.data_address)

    with pytest.raises(app.StartError, match=address):
        await _run(model=str(zoo.base), metrics_address=address)


async def test_a_base_that_cannot_be_loaded_stops_the_start_by_name(tmp_path: Path) -> None:
    with pytest.raises(app.StartError, match=str(tmp_path)):
        await _run(model=str(tmp_path))


async def test_an_adapter_that_cannot_be_served_stops_the_start_with_its_reason(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(SourceInvalidError, match=r"adapter_config\.json"):
        await _run(model=str(zoo.base), adapters={"empty": str(tmp_path)})


async def _run(**settings: Any) -> None:
    settings = {"address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", **settings}
    async with app.running(ServerSettings(**settings)):
        pass


async def test_the_status_counts_rows_batches_and_traversals(harness: Harness, zoo: Zoo) -> None:
    """Asking two adapters in turn costs a row and a batch each, and the arrival order a traversal each."""
    before = await harness.admin.GetServerStatus(adapter_admin_pb2.GetServerStatusRequest())
    for name in ("topic", "sentiment", "topic", "sentiment"):
        await ask(harness, name, Task.SEQUENCE_CLASSIFICATION, [0])
    after = await harness.admin.GetServerStatus(adapter_admin_pb2.GetServerStatusRequest())

    assert 4 == after.rows.answered - before.rows.answered
    assert 4 == after.num_batches - before.num_batches
    assert 3 <= after.num_traversals_in_arrival_order - before.num_traversals_in_arrival_order <= 4
    assert {"READY": len(zoo.residents)} == dict(after.adapters_by_state)
    assert after.memory.resident_bytes > after.memory.base_bytes > 0
