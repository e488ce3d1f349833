"""What connections may take: limits and keepalive of a listener, as options of gRPC."""

from dataclasses import dataclass

# Whoever connects has so long to finish TLS and HTTP/2's first words.
_HANDSHAKE_MILLISECONDS = 20_000
# Clients may ping idle channels this often without being taken for an attack.
_MIN_PING_MILLISECONDS = 10_000


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Times in seconds, sizes in bytes; None: no limit."""

    max_concurrent_streams: int | None = None
    """Calls at once on one connection; more wait at the client."""
    max_connection_idle_seconds: float | None = None
    """A connection without calls is closed after so long."""
    max_connection_age_seconds: float | None = None
    """A connection takes no new calls after so long; clients connect anew, with certificates as they are then."""
    max_connection_age_grace_seconds: float = 300.0
    """Calls of such a connection are ended after so long again."""
    keepalive_seconds: float = 60.0
    """A connection that is silent for so long is asked whether there is still somebody."""
    keepalive_timeout_seconds: float = 20.0
    """Whoever doesn't answer that for so long is taken for gone."""
    max_metadata_bytes: int = 16 << 10
    """Metadata of a call."""

    def options(self) -> tuple[tuple[str, int], ...]:
        """As options of a gRPC server."""
        limits = {
            "grpc.max_concurrent_streams": self.max_concurrent_streams,
            "grpc.max_connection_idle_ms": _milliseconds(self.max_connection_idle_seconds),
            "grpc.max_connection_age_ms": _milliseconds(self.max_connection_age_seconds),
            "grpc.max_connection_age_grace_ms": _milliseconds(self.max_connection_age_grace_seconds),
            "grpc.keepalive_time_ms": _milliseconds(self.keepalive_seconds),
            "grpc.keepalive_timeout_ms": _milliseconds(self.keepalive_timeout_seconds),
            "grpc.keepalive_permit_without_calls": 1,
            "grpc.http2.min_ping_interval_without_data_ms": _MIN_PING_MILLISECONDS,
            # Beyond the soft limit gRPC refuses some calls by chance: one limit is enough.
            "grpc.max_metadata_size": self.max_metadata_bytes,
            "grpc.absolute_max_metadata_size": self.max_metadata_bytes,
            "grpc.server_handshake_timeout_ms": _HANDSHAKE_MILLISECONDS,
        }
        return tuple((name, value) for name, value in limits.items() if value is not None)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))
