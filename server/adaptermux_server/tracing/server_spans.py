"""The span of a call, from what the caller says of their own trace to how it ended.

Names and attributes are those of OpenTelemetry's semantic conventions for gRPC; what is our own begins with
`adaptermux.`.
"""

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()
# By the conventions for servers: the others are their callers' doing.
_FAILURES = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


def server_span(
    tracer: Tracer, service: str, rpc: str, request_id: str, metadata: Iterable[tuple[str, str | bytes]]
) -> Span:
    """Begin the span of a call, below the caller's own where the metadata names one (W3C trace context)."""
    carrier = {key: value for key, value in metadata if key in _PROPAGATOR.fields and isinstance(value, str)}
    # The context that is current here is none of this call's.
    parent = _PROPAGATOR.extract(carrier, Context()) if carrier else Context()
    attributes = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": rpc,
        "adaptermux.request_id": request_id,
    }
    return tracer.start_span(f"{service}/{rpc}", parent, SpanKind.SERVER, attributes)


def note_end(span: Span, code: str, number: int, *, reason: str = "", incident: str = "", caller: str = "") -> None:
    """Say how a call ended, by its status code. Empty ones of the others aren't said."""
    span.set_attribute("rpc.grpc.status_code", number)
    ours = {"adaptermux.reason": reason, "adaptermux.incident": incident, "adaptermux.caller": caller}
    for name, value in ours.items():
        if value:
            span.set_attribute(name, value)
    if code in _FAILURES:
        span.set_status(Status(StatusCode.ERROR, reason or code))
