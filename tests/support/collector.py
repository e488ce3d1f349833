"""A collector of traces, over HTTP and over gRPC, that keeps what it gets."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_PATIENCE_SECONDS = 20.0


class Collected:
    """What came in so far."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        """Attributes of whoever sent."""
        self._changed = threading.Condition()

    def take(self, request: trace_service_pb2.ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        with self._changed:
            for each in request.resource_spans:
                self.resource.update((pair.key, pair.value.string_value) for pair in each.resource.attributes)
                self.spans += [span for scope in each.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def wait(self, holds: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, once `holds` is true of them."""
        until = time.monotonic() + _PATIENCE_SECONDS
        with self._changed:
            while not holds(self.spans):
                assert self._changed.wait(until - time.monotonic()), [span.name for span in self.spans]
            return list(self.spans)


@contextmanager
def http_collector() -> Iterator[Collected]:
    """Take spans by HTTP."""
    collected = Collected()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                collected.take(trace_service_pb2.ExportTraceServiceRequest.FromString(content))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collected
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_collector() -> Iterator[Collected]:
    """Take spans by gRPC."""
    collected = Collected()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            collected.take(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
    collected.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collected
    finally:
        server.stop(0).wait()


def attributes_of(span: Span) -> dict[str, Any]:
    """Attributes of a span that are single values, lists as tuples of texts."""
    return {pair.key: _value(pair.value) for pair in span.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(each.string_value for each in value.array_value.values)
    return getattr(value, kind)
