"""Each call has an id, which its caller learns; a line in the log; and a span, where it is traced.

The interceptor stands before all others, so that what they refuse has these too, and what they log has the id.
"""

import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.trace import Span, Tracer, format_trace_id
from structlog.contextvars import bind_contextvars

from adaptermux_server.tracing.calls import Call, current_call
from adaptermux_server.tracing.server_spans import note_end, server_span
from adaptermux_server.transport.border import CODE_OF_NUMBER, Context
from adaptermux_server.transport.outcome import code_of, info_of, sent_info
from adaptermux_server.transport.security.callers import current_caller
from adaptermux_server.transport.security.handlers import ServiceInterceptor, replaced, served_by

REQUEST_ID = "x-request-id"
# Visible ASCII without the space: one word in a line of the log, whatever its form.
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
# Of calls that fail by no fault of the caller's; the others are a matter of debugging.
_LEVELS = {
    grpc.StatusCode.INTERNAL: logging.WARNING,
    grpc.StatusCode.UNKNOWN: logging.WARNING,
    grpc.StatusCode.UNAVAILABLE: logging.INFO,
}


class Calls(ServiceInterceptor):
    """Accompanies the calls of one service."""

    def __init__(self, service_name: str, tracer: Tracer | None) -> None:
        """`tracer`: None: no call is traced."""
        super().__init__(service_name)
        self._tracer = tracer
        # Bound once: for each call this would cost as much as the rest of it.
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__).bind()

    def _wrapped(self, handler: Any, rpc: str) -> Any:
        inner = served_by(handler)

        async def answer(request: Any, context: Context) -> Any:
            with _Accompanying(self._log, self._begin(rpc, context), rpc, context):
                return await inner(request, context)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            with _Accompanying(self._log, self._begin(rpc, context), rpc, context):
                async with aclosing(inner(request, context)) as responses:
                    async for response in responses:
                        yield response

        return replaced(handler, stream if handler.response_streaming else answer)

    def _begin(self, rpc: str, context: Context) -> Call:
        """What is set here is seen by this call alone: gRPC serves each in a task of its own."""
        metadata = context.invocation_metadata() or ()
        call = Call(request_id_of(metadata))
        bind_contextvars(request_id=call.request_id)
        if self._tracer is not None:
            span = server_span(self._tracer, self._service_name, rpc, call.request_id, metadata)
            bind_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id))
            call = Call(call.request_id, self._tracer, span if span.is_recording() else None)
        current_call.set(call)
        context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        return call


class _Accompanying:
    """The time of a call, at the end of which it is told how it ended. (A generator would cost twice as much.)"""

    __slots__ = ("_call", "_context", "_log", "_rpc", "_started")

    def __init__(self, log: structlog.typing.FilteringBoundLogger, call: Call, rpc: str, context: Context) -> None:
        self._log, self._call, self._rpc, self._context = log, call, rpc, context

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        code = grpc.StatusCode.OK if error is None else code_of(error, self._context)
        level, span = _LEVELS.get(code, logging.DEBUG), self._call.span
        is_logged = self._log.is_enabled_for(level)
        if not is_logged and span is None:
            return
        caller = current_caller.get()
        said = {"caller": caller.name} if caller else {}
        if error is not None:
            said |= _told(sent_info(self._context))
        if is_logged:
            seconds = round(time.perf_counter() - self._started, 6)
            self._log.log(level, "call", rpc=self._rpc, code=code.name, seconds=seconds, **said)
        if span is not None:
            note_end(span, code.name, code.value[0], **said)
            span.end()


def note_failure(span: Span | None, status: status_pb2.Status) -> None:
    """Say on the span of a streamed request how it failed."""
    if span is not None:
        info, code = info_of(status), CODE_OF_NUMBER[status.code]
        note_end(span, code.name, status.code, **_told(info))


def request_id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The id that the caller chose, or a new one: a call isn't refused for what serves to find it again."""
    given = [str(value) for key, value in metadata if key == REQUEST_ID]
    return given[0] if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else secrets.token_hex(8)


def _told(info: error_details_pb2.ErrorInfo) -> dict[str, str]:
    told = {"reason": info.reason, "incident": info.metadata.get("incident", "")}
    return {name: value for name, value in told.items() if value}
