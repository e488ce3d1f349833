import asyncio
from contextlib import nullcontext

import pytest
from opentelemetry.trace import Tracer
from structlog.contextvars import get_contextvars

from adaptermux_server.tracing.calls import Call, current_call, phase, streamed_request
from tests.tracing.recording import Recorded


def begun(tracer: Tracer) -> Call:
    """A traced call that is now the current one."""
    call = Call("abc", tracer, tracer.start_span("call"))
    current_call.set(call)
    return call


async def test_a_phase_is_a_span_below_the_call_and_what_is_within_it_below_the_phase():
    recorded = Recorded()
    call = begun(recorded.tracing.calls)

    with phase("outer", {"adaptermux.adapters": ["a"]}), phase("inner"):
        pass

    outer, inner = recorded.one("outer"), recorded.one("inner")
    assert call.span.get_span_context().span_id == outer.parent.span_id
    assert outer.context.span_id == inner.parent.span_id
    assert {"adaptermux.adapters": ("a",)} == dict(outer.attributes)
    assert call is current_call.get()


async def test_a_phase_that_fails_ends_and_tells_nothing_of_the_error():
    recorded = Recorded()
    begun(recorded.tracing.calls)

    with pytest.raises(ValueError, match="secret"), phase("fails"):
        raise ValueError("a secret")

    assert () == recorded.one("fails").events
    assert recorded.one("fails").end_time is not None


@pytest.mark.parametrize("call", [Call(), Call("abc"), Call("abc", Recorded().tracing.calls)])
async def test_phases_of_calls_that_are_not_traced_cost_nothing(call):
    current_call.set(call)

    assert isinstance(phase("any"), nullcontext)


async def test_tasks_that_a_call_makes_are_of_that_call():
    recorded = Recorded()
    call = begun(recorded.tracing.calls)

    async def load():
        with phase("read"):
            await asyncio.sleep(0)

    await asyncio.create_task(load())

    assert call.span.get_span_context().span_id == recorded.one("read").parent.span_id


async def test_a_streamed_request_is_a_call_below_that_of_the_stream():
    recorded = Recorded()
    stream = begun(recorded.tracing.calls)
    seen = []

    async def serve(own_id):
        with streamed_request("request", own_id) as part:
            await asyncio.sleep(0)
            seen.append((current_call.get() is part, part.request_id, get_contextvars()["request_id"]))

    await asyncio.gather(serve("1"), serve("2\x1b[2J\n"))

    safe = "abc/2\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"
    assert [(True, "abc/1", "abc/1"), (True, safe, safe)] == seen
    parents = {span.parent.span_id for span in recorded.named("request")}
    assert {stream.span.get_span_context().span_id} == parents
    assert ["abc/1", safe] == [span.attributes["adaptermux.request_id"] for span in recorded.named("request")]


async def test_a_streamed_request_of_a_stream_that_is_not_traced_has_its_id_alone():
    current_call.set(Call("abc"))

    with streamed_request("request", "1") as part:
        pass

    assert Call("abc/1") == part
