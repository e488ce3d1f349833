"""Two listeners: data and admin. Health and reflection on both; each has its own service alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import Tracer

from adaptermux.v1 import adapter_admin_pb2_grpc, infer_pb2_grpc
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport import admin, infer, unix
from adaptermux_server.transport.calls import Calls
from adaptermux_server.transport.connections import ConnectionLimits
from adaptermux_server.transport.decoding import Decoding
from adaptermux_server.transport.security.audit import Audit
from adaptermux_server.transport.security.authentication import Authentication
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tls import Certificates
from adaptermux_server.transport.security.tokens import TokenFile
from adaptermux_server.transport.upload import MAX_CHUNK_BYTES

_OVERALL = ""
_ENVELOPE_BYTES = 1024
_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")
_log = structlog.get_logger(__name__)
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ListenError(Exception):
    """A listener's address can't be bound."""


@dataclass(frozen=True, slots=True)
class Security:
    """Of a listener. Without `tls` it is plain, without `tokens` anybody may call; health is for anybody always."""

    tls: Certificates | None = None
    tokens: TokenFile | None = None


OPEN = Security()
_USUAL_LIMITS = ConnectionLimits()


class Listener:
    """One address with its services. Health is NOT_SERVING until `set_serving`."""

    def __init__(
        self,
        name: str,
        address: str,
        service_name: str,
        security: Security,
        *,
        tracer: Tracer | None,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        options: Sequence[tuple[str, int]],
    ) -> None:
        self.name = name
        self.server = grpc.aio.server(
            interceptors=[Calls(service_name, tracer), *interceptors, Decoding(service_name)],
            options=[*options, ("grpc.so_reuseport", 0)],
        )
        self._address = address
        self._service_name = service_name
        self._security = security
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        reflection.enable_server_reflection((service_name, health.SERVICE_NAME, reflection.SERVICE_NAME), self.server)

    async def start(self) -> str:
        """Bind and listen; returns the address with the real port. Raises ListenError."""
        await self.set_serving(False)
        bound = self._bound()
        await self.server.start()
        tls, tokens = self._security.tls, self._security.tokens
        mutual = tls is not None and tls.is_mutual
        _log.info("listening", listener=self.name, address=bound, tls=tls is not None, mtls=mutual, tokens=bool(tokens))
        if tokens is not None and tls is None and not bound.startswith(_LOOPBACK):
            _log.warning("tokens and answers cross the network unencrypted: give this listener a certificate")
        return bound

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks, overall and for the service."""
        for name in (_OVERALL, self._service_name):
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, give those in flight `grace_seconds`, then cancel them."""
        await self.server.stop(grace_seconds)

    def _bound(self) -> str:
        path = unix.socket_path(self._address)
        try:
            if path is None:
                return f"{self._address.rpartition(':')[0]}:{self._add_port()}"
            with unix.binding(path):
                self._add_port()
            return self._address
        except (RuntimeError, unix.SocketInUseError) as error:
            text = f"can't listen on {self._address} ({self.name}): is it in use by another server, or not an address?"
            raise ListenError(text) from error

    def _add_port(self) -> int:
        if self._security.tls is None:
            return self.server.add_insecure_port(self._address)
        return self.server.add_secure_port(self._address, self._security.tls.credentials())


def data_listener(
    servicer: infer.InferServicer,
    address: str,
    *,
    max_message_bytes: int,
    max_pending_rpcs: int,
    connections: ConnectionLimits = _USUAL_LIMITS,
    security: Security = OPEN,
    tracer: Tracer | None = None,
) -> Listener:
    """The listener of `Infer`. `tracer`: None: no call is traced."""
    listener = Listener(
        "data",
        address,
        infer.SERVICE_NAME,
        security,
        tracer=tracer,
        interceptors=_authentication(security, infer.SERVICE_NAME, Role.INFER, servicer.rpc_metrics),
        options=_options(max_message_bytes, max_pending_rpcs, connections),
    )
    infer_pb2_grpc.add_InferServicer_to_server(servicer, listener.server)
    return listener


def admin_listener(
    servicer: admin.AdapterAdminServicer,
    address: str,
    *,
    max_message_bytes: int,
    max_pending_rpcs: int,
    connections: ConnectionLimits = _USUAL_LIMITS,
    security: Security = OPEN,
    tracer: Tracer | None = None,
) -> Listener:
    """The listener of `AdapterAdmin`. `tracer`: None: no call is traced."""
    authentication = _authentication(security, admin.SERVICE_NAME, Role.ADMIN, servicer.rpc_metrics)
    # Chunks of an upload must pass, however small messages are to be.
    largest_bytes = max(max_message_bytes, MAX_CHUNK_BYTES + _ENVELOPE_BYTES)
    listener = Listener(
        "admin",
        address,
        admin.SERVICE_NAME,
        security,
        tracer=tracer,
        interceptors=[Audit(admin.SERVICE_NAME), *authentication],
        options=_options(largest_bytes, max_pending_rpcs, connections),
    )
    adapter_admin_pb2_grpc.add_AdapterAdminServicer_to_server(servicer, listener.server)
    return listener


def _authentication(
    security: Security, service_name: str, role: Role, metrics: RpcMetrics
) -> list[grpc.aio.ServerInterceptor]:
    # Whoever asks for health, such as an orchestrator, has no token; there is nothing to learn from it.
    tokens, is_open = security.tokens, (health.SERVICE_NAME,)
    return [] if tokens is None else [Authentication(tokens, service_name, role, metrics, is_open)]


def _options(max_message_bytes: int, max_pending_rpcs: int, limits: ConnectionLimits) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # A burst beyond these makes gRPC drop calls with a bare CANCELLED; the queue's limits shed load with a reason.
        ("grpc.server.max_pending_requests", max_pending_rpcs),
        ("grpc.server.max_pending_requests_hard_limit", max_pending_rpcs * 3 // 2),
        *limits.options(),
    )
