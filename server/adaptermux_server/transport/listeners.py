"""Two listeners: data and admin. Health and reflection on both; each has its own service alone."""

from collections.abc import Sequence

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from adaptermux.v1 import adapter_admin_pb2_grpc, infer_pb2_grpc
from adaptermux_server.transport import admin, infer
from adaptermux_server.transport.decoding import Decoding
from adaptermux_server.transport.upload import MAX_CHUNK_BYTES

_OVERALL = ""
_ENVELOPE_BYTES = 1024
_log = structlog.get_logger(__name__)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ListenError(Exception):
    """A listener's address can't be bound."""


class Listener:
    """One address with its services. Health is NOT_SERVING until `set_serving`."""

    def __init__(self, name: str, address: str, service_name: str, options: Sequence[tuple[str, int]]) -> None:
        self.name = name
        self.server = grpc.aio.server(
            interceptors=[Decoding(service_name)], options=[*options, ("grpc.so_reuseport", 0)]
        )
        self._address = address
        self._service_name = service_name
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        reflection.enable_server_reflection((service_name, health.SERVICE_NAME, reflection.SERVICE_NAME), self.server)

    async def start(self) -> str:
        """Bind and listen; returns the address with the real port. Raises ListenError."""
        await self.set_serving(False)
        try:
            port = self.server.add_insecure_port(self._address)
        except RuntimeError as error:
            text = f"can't listen on {self._address} ({self.name}): is it in use by another server, or not an address?"
            raise ListenError(text) from error
        await self.server.start()
        bound = f"{self._address.rpartition(':')[0]}:{port}"
        _log.info("listening", listener=self.name, address=bound)
        return bound

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks, overall and for the service."""
        for name in (_OVERALL, self._service_name):
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, give those in flight `grace_seconds`, then cancel them."""
        await self.server.stop(grace_seconds)


def data_listener(
    servicer: infer.InferServicer, address: str, *, max_message_bytes: int, max_pending_rpcs: int
) -> Listener:
    """The listener of `Infer`."""
    listener = Listener("data", address, infer.SERVICE_NAME, _options(max_message_bytes, max_pending_rpcs))
    infer_pb2_grpc.add_InferServicer_to_server(servicer, listener.server)
    return listener


def admin_listener(
    servicer: admin.AdapterAdminServicer, address: str, *, max_message_bytes: int, max_pending_rpcs: int
) -> Listener:
    """The listener of `AdapterAdmin`."""
    # Chunks of an upload must pass, however small messages are to be.
    largest_bytes = max(max_message_bytes, MAX_CHUNK_BYTES + _ENVELOPE_BYTES)
    listener = Listener("admin", address, admin.SERVICE_NAME, _options(largest_bytes, max_pending_rpcs))
    adapter_admin_pb2_grpc.add_AdapterAdminServicer_to_server(servicer, listener.server)
    return listener


def _options(max_message_bytes: int, max_pending_rpcs: int) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # A burst beyond these makes gRPC drop calls with a bare CANCELLED; the queue's limits shed load with a reason.
        ("grpc.server.max_pending_requests", max_pending_rpcs),
        ("grpc.server.max_pending_requests_hard_limit", max_pending_rpcs * 3 // 2),
        # Clients may ping idle channels this often without being taken for an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    )
