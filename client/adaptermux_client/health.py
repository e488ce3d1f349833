"""The health check (grpc.health.v1) without its package, which the light client doesn't depend on."""

from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from adaptermux_client.calls import Call
from adaptermux_client.results import HealthStatus

_STATUSES = (HealthStatus.UNKNOWN, HealthStatus.SERVING, HealthStatus.NOT_SERVING, HealthStatus.SERVICE_UNKNOWN)


class HealthStub:
    """Calls `grpc.health.v1.Health/Check`.

    On the wire `HealthCheckRequest{string service = 1}` is what `StringValue` is, and
    `HealthCheckResponse{enum status = 1}` what `Int32Value` is.
    """

    def __init__(self, channel: grpc.Channel | grpc.aio.Channel) -> None:
        self.Check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=Int32Value.FromString,
        )


def check(service: str = "", *, timeout: float | None = None) -> Call[HealthStatus]:
    """Ask whether the server (or one of its services, by its full name) serves. Unknown service: NotFoundError."""
    return Call("Check", StringValue(value=service), _status, timeout)


def _status(response: Int32Value) -> HealthStatus:
    known = 0 <= response.value < len(_STATUSES)
    return _STATUSES[response.value] if known else HealthStatus.UNKNOWN
