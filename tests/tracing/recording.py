"""Tracing whose spans stay in this process."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adaptermux_server.tracing.tracing import Tracing


class Recorded:
    """Makes spans, and keeps those that have ended."""

    def __init__(self, ratio: float | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = Tracing(SimpleSpanProcessor(self._exporter), ratio=ratio)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """In the order of their ends."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name, or whose name ends with it after a slash."""
        return [span for span in self.spans if span.name.rpartition("/")[2] == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (span,) = self.named(name)
        return span
