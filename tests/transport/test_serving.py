"""What health checks are told: all that is known, in one place."""

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adaptermux_server.transport.serving import Serving
from tests.transport.listening import admin, calling, data

NAMES = {health_pb2.HealthCheckResponse.SERVING: True, health_pb2.HealthCheckResponse.NOT_SERVING: False}


async def told(*addresses: str) -> tuple[bool, ...]:
    answers = []
    for address in addresses:
        async with calling(address) as channel:
            response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        answers.append(NAMES[response.status])
    return tuple(answers)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], (False, False)),
        ([("accept", True)], (True, True)),
        ([("stall", True)], (False, False)),
        ([("stall", True), ("accept", True)], (False, True)),
        ([("accept", True), ("stall", True)], (False, True)),
        ([("accept", True), ("stall", True), ("stall", False)], (True, True)),
        ([("accept", True), ("accept", False)], (False, False)),
        # The engine that moves again while the server stops doesn't make it serve.
        ([("accept", True), ("stall", True), ("accept", False), ("stall", False)], (False, False)),
    ],
)
async def test_data_serves_if_calls_are_accepted_and_the_engine_moves_and_admin_if_calls_are_accepted(steps, expected):
    async with data() as reached, admin() as control:
        serving = Serving(reached.listener, control.listener)

        for name, value in steps:
            await getattr(serving, name)(value)

        assert expected == await told(reached.address, control.address)
