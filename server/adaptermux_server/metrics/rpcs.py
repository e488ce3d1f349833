"""Calls."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from adaptermux_server.metrics.buckets import SECONDS


class RpcMetrics:
    """Calls by RPC and status code, and how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "adaptermux_rpc_seconds", "Time of a call in the server", ["rpc"], registry=registry, buckets=SECONDS
        )
        self._calls = Counter("adaptermux_rpcs", "Calls by status code", ["rpc", "code"], registry=registry)

    def observe(self, rpc: str, code: str, seconds: float) -> None:
        """Count a call that has ended."""
        self._calls.labels(rpc, code).inc()
        self._seconds.labels(rpc).observe(seconds)
