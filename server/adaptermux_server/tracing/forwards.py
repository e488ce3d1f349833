"""Spans of forwards. A forward serves many calls, so it has a trace of its own.

It links to the calls whose rows it computed. Each of these calls gets two spans: the wait of its rows, and the forward,
which links back. Only those of calls that are recorded; a forward without any isn't recorded either.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, set_span_in_context

from adaptermux_server.types import BatchPlan, BatchResult, Row

_MAX_ADAPTERS = 16

Runner = Callable[[BatchPlan], Awaitable[BatchResult]]


class ForwardSpans:
    """Notes the forwards that a runner computes."""

    def __init__(self, calls: Tracer, forwards: Tracer) -> None:
        """`calls`: for spans within calls; `forwards`: records whatever it is asked to."""
        self._calls, self._forwards = calls, forwards

    def around(self, run: Runner) -> Runner:
        """The runner, noting each plan of it, which must be of a single forward."""

        async def noted(plan: BatchPlan) -> BatchResult:
            if not any(row.span is not None for row in plan.rows):
                return await run(plan)
            started_at = time.monotonic()
            result = None
            try:
                result = await run(plan)
                return result
            finally:
                # Later, when the engine is at work again: it must not wait for what is merely told.
                asyncio.get_running_loop().call_soon(self._note, plan, result, started_at, time.monotonic())

        return noted

    def _note(self, plan: BatchPlan, result: BatchResult | None, started_at: float, ended_at: float) -> None:
        epoch = time.time() - time.monotonic()
        start, end = _nanoseconds(started_at + epoch), _nanoseconds(ended_at + epoch)
        rows_of: dict[Span, list[Row]] = {}
        for row in plan.rows:
            if row.span is not None:
                rows_of.setdefault(row.span, []).append(row)
        forward = self._forwards.start_span(
            "forward", Context(), links=_links(rows_of), start_time=start, attributes=_attributes(plan, result)
        )
        _end(forward, result, end)
        for span, rows in rows_of.items():
            within = set_span_in_context(span, Context())
            attributes = {"adaptermux.rows": len(rows)}
            joined = _nanoseconds(min(row.enqueued_at for row in rows) + epoch)
            self._calls.start_span("queue", within, start_time=joined, attributes=attributes).end(start)
            own = self._calls.start_span(
                "forward", within, start_time=start, links=_links([forward]), attributes=attributes
            )
            _end(own, result, end)


def _attributes(plan: BatchPlan, result: BatchResult | None) -> dict[str, int | float | str | Sequence[str]]:
    adapters = sorted({row.adapter for row in plan.rows})
    attributes: dict[str, int | float | str | Sequence[str]] = {
        "adaptermux.rows": len(plan.rows),
        "adaptermux.adapters": adapters[:_MAX_ADAPTERS],
        "adaptermux.num_adapters": len(adapters),
        "adaptermux.tokens": sum(row.num_tokens for row in plan.rows),
        "adaptermux.padded_tokens": plan.num_padded_tokens,
    }
    if result is not None:
        attributes["adaptermux.kernel"] = ",".join(kernel.value for kernel in result.kernels)
        attributes["adaptermux.traversal_seconds"] = result.traversal_seconds
        attributes["adaptermux.compute_seconds"] = result.compute_seconds
    return attributes


def _links(spans: "Sequence[Span] | dict[Span, list[Row]]") -> list[Link]:
    return [Link(span.get_span_context()) for span in spans]


def _end(span: Span, result: BatchResult | None, end: int) -> None:
    if result is None:
        span.set_status(Status(StatusCode.ERROR))
    span.end(end)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
