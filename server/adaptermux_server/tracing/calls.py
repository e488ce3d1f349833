"""The call that is being served, for whoever notes something of it: its id, and its span where it is traced.

Needs the interface of OpenTelemetry alone, and costs a lookup where nothing is traced.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace

from opentelemetry.context import Context
from opentelemetry.trace import Span, Tracer, set_span_in_context
from structlog.contextvars import bind_contextvars

Attributes = Mapping[str, str | bool | int | float | Sequence[str]]
"""What a span says beside its name and its times; never texts of callers."""

_UNTRACED: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class Call:
    """A call, or one request of a stream of them."""

    request_id: str = ""
    """Chosen by the caller, or else by the server."""
    tracer: Tracer | None = None
    """None: nothing is traced."""
    span: Span | None = None
    """Where it is recorded; None: nowhere."""


current_call: ContextVar[Call] = ContextVar("current_call", default=Call())  # noqa: B039 - it can't be changed
"""Of the call that this task, or the one that made it, serves."""


def phase(name: str, attributes: Attributes | None = None) -> AbstractContextManager[None]:
    """A part of the current call: a span of its own for the time of the context, if the call is traced."""
    call = current_call.get()
    return _UNTRACED if call.span is None else _within(replace(call, span=_child(call, name, attributes)))


@contextmanager
def streamed_request(name: str, own_id: str) -> Iterator[Call]:
    """Serve one request of a stream within the context, as a call of the stream's id and its own. A task for each."""
    call = current_call.get()
    # Whoever reads the log must not be fooled by what a caller made up.
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in own_id)
    request_id = f"{call.request_id}/{printable}"
    bind_contextvars(request_id=request_id)
    span = _child(call, name, {"adaptermux.request_id": request_id})
    part = replace(call, request_id=request_id, span=span)
    with _within(part):
        yield part


@contextmanager
def _within(call: Call) -> Iterator[None]:
    token = current_call.set(call)
    try:
        yield
    finally:
        current_call.reset(token)
        if call.span is not None:
            call.span.end()


def _child(call: Call, name: str, attributes: Attributes | None) -> Span | None:
    if call.tracer is None or call.span is None:
        return None
    return call.tracer.start_span(name, set_span_in_context(call.span, Context()), attributes=attributes)
