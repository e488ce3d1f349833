"""Traces of one server: which calls are recorded, and where what was recorded goes.

The SDK of OpenTelemetry is imported here alone, and this module only where traces are wanted.
"""

import asyncio
import threading

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import Tracer

from adaptermux_server.tracing.forwards import ForwardSpans
from adaptermux_server.tracing.wanted import TracingError, protocol

_NAME = "adaptermux"
_FLUSH_SECONDS = 1.5
_GIVE_UP_SECONDS = 0.5


class Tracing:
    """Where spans are made."""

    def __init__(self, processor: SpanProcessor, *, version: str = "", ratio: float | None = None) -> None:
        """`processor`: takes spans that have ended; `ratio`: see `open_tracing`."""
        self._processor = processor
        sampler = None if ratio is None else ParentBasedTraceIdRatio(ratio)
        self.calls = _tracer(processor, version, sampler)
        """Records the calls that the sampler picks."""
        # Whether a forward is told of was decided with the calls whose rows it has.
        self.forwards = ForwardSpans(self.calls, _tracer(processor, version, ALWAYS_ON))

    async def close(self) -> None:
        """Send what is left, for two seconds at most: a collector that is gone holds nobody up."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        flushing = threading.Thread(target=self._processor.shutdown, name="tracing-close", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_SECONDS)
        exporter: SpanExporter | None = getattr(self._processor, "span_exporter", None)
        if flushing.is_alive() and exporter is not None:
            # It waits before it tries again, which this ends.
            exporter.shutdown()
            flushing.join(_GIVE_UP_SECONDS)


def open_tracing(endpoint: str | None, ratio: float | None, version: str) -> Tracing:
    """Send spans, in a thread beside the loop, to where the arguments or else OpenTelemetry's environment say.

    What can't be sent as fast as it comes is dropped.

    Args:
        endpoint: URL of a collector that takes OTLP. None: by OTEL_EXPORTER_OTLP_ENDPOINT and its kin.
        ratio: share of the calls to record, of those whose caller didn't decide. None: by OTEL_TRACES_SAMPLER.
        version: of the server.

    Raises TracingError for a protocol that isn't known.
    """
    return Tracing(BatchSpanProcessor(_exporter(endpoint)), version=version, ratio=ratio)


def _exporter(endpoint: str | None) -> SpanExporter:
    # Each brings a library along, so only the one that is wanted is imported.
    match protocol():
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

            return http.OTLPSpanExporter(endpoint and f"{endpoint.rstrip('/')}/v1/traces")
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

            return grpc.OTLPSpanExporter(endpoint)
        case other:
            raise TracingError(
                f"traces can't be sent by {other!r}: OTEL_EXPORTER_OTLP_PROTOCOL is grpc or http/protobuf"
            )


def _tracer(processor: SpanProcessor, version: str, sampler: Sampler | None) -> Tracer:
    chosen = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": _NAME, "service.version": version, **chosen})
    provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider.get_tracer(_NAME, version)
