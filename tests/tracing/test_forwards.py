import asyncio
import time

import pytest
from opentelemetry.trace import StatusCode

from adaptermux_server.types import BatchPlan, BatchResult, Kernel, Row
from tests.tracing.recording import Recorded

RESULT = BatchResult((), 1, 0.25, 0.5, frozenset(), (Kernel.GATHERED,))


def rows(adapter, span, count=1, num_tokens=3, waited=2.0):
    """Rows that joined the queue so many seconds ago."""
    joined = time.monotonic() - waited
    columns = {"input_ids": (1,) * num_tokens}
    return [Row(1, columns, None, None, adapter=adapter, span=span, enqueued_at=joined) for _ in range(count)]


async def computed(recorded, plan, error=None):
    """Run a plan; what it raises is returned."""

    async def run(plan):
        await asyncio.sleep(0.02)
        if error is not None:
            raise error
        return RESULT

    try:
        assert RESULT is await recorded.tracing.forwards.around(run)(plan)
    except Exception as raised:
        return raised
    finally:
        await asyncio.sleep(0)
    return None


def ids(contexts):
    return {(each.trace_id, each.span_id) for each in contexts}


async def test_one_forward_and_the_calls_that_it_served_link_to_each_other():
    recorded = Recorded()
    calls = [recorded.tracing.calls.start_span(name) for name in ("one", "two")]
    plan = BatchPlan.at_once([*rows("a", calls[0], 2), *rows("b", calls[1], num_tokens=7), *rows("", None)])

    await computed(recorded, plan)

    contexts = [call.get_span_context() for call in calls]
    (forward,) = (span for span in recorded.named("forward") if span.parent is None)
    own = [span for span in recorded.named("forward") if span.parent is not None]
    assert forward.context.trace_id not in {context.trace_id for context in contexts}
    assert ids(contexts) == ids(link.context for link in forward.links)
    assert ids(contexts) == ids(span.parent for span in own)
    assert [ids([forward.context])] * 2 == [ids(link.context for link in span.links) for span in own]
    assert [2, 1] == [span.attributes["adaptermux.rows"] for span in own]
    assert {
        "adaptermux.rows": 4,
        "adaptermux.adapters": ("", "a", "b"),
        "adaptermux.num_adapters": 3,
        "adaptermux.tokens": 16,
        "adaptermux.padded_tokens": 28,
        "adaptermux.kernel": "gathered",
        "adaptermux.traversal_seconds": 0.25,
        "adaptermux.compute_seconds": 0.5,
    } == dict(forward.attributes)


async def test_the_wait_in_the_queue_comes_before_the_forward():
    recorded = Recorded()
    call = recorded.tracing.calls.start_span("call")
    before = time.time_ns()

    await computed(recorded, BatchPlan.at_once([*rows("a", call, waited=1.0), *rows("a", call, waited=2.0)]))

    queue, (forward, own) = recorded.one("queue"), recorded.named("forward")
    assert call.get_span_context().span_id == queue.parent.span_id
    assert queue.end_time == forward.start_time == own.start_time
    assert 1.9e9 < queue.end_time - queue.start_time < 3e9
    assert 15e6 < forward.end_time - forward.start_time == own.end_time - own.start_time
    assert before - 1e6 < forward.start_time < forward.end_time < time.time_ns() + 1e6


async def test_a_forward_that_raises_is_told_as_such_without_the_text():
    recorded = Recorded()
    call = recorded.tracing.calls.start_span("call")
    error = RuntimeError("of a tenant")

    assert error is await computed(recorded, BatchPlan.at_once(rows("a", call)), error)

    assert [StatusCode.ERROR] * 2 == [span.status.status_code for span in recorded.named("forward")]
    assert "tenant" not in "".join(span.to_json() for span in recorded.spans)


async def test_a_forward_for_calls_that_are_not_recorded_is_not_either():
    recorded = Recorded()

    await computed(recorded, BatchPlan.at_once(rows("a", None, 3)))

    assert () == recorded.spans


async def test_a_forward_of_one_recorded_call_is_recorded_however_few_are():
    recorded, sampled = Recorded(ratio=0.0), Recorded()
    call = sampled.tracing.calls.start_span("call")

    await computed(recorded, BatchPlan.at_once(rows("a", call)))

    assert 2 == len(recorded.named("forward"))


async def test_a_forward_of_very_many_adapters_names_some():
    recorded = Recorded()
    call = recorded.tracing.calls.start_span("call")

    await computed(recorded, BatchPlan.at_once(rows(f"a{i}", call)[0] for i in range(100)))

    attributes = recorded.named("forward")[0].attributes
    assert (100, 16) == (attributes["adaptermux.num_adapters"], len(attributes["adaptermux.adapters"]))


async def test_spans_are_made_after_the_answers_are_given():
    """The engine gets its next plan first."""
    recorded = Recorded()
    call = recorded.tracing.calls.start_span("call")

    async def run(plan):
        return RESULT

    await recorded.tracing.forwards.around(run)(BatchPlan.at_once(rows("a", call)))
    before = recorded.spans
    await asyncio.sleep(0)

    assert () == before
    assert 3 == len(recorded.spans)


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (1.0, 20), (None, 20)])
async def test_the_ratio_says_how_many_calls_are_recorded(ratio, expected):
    recorded = Recorded(ratio)

    for _ in range(20):
        recorded.tracing.calls.start_span("call").end()

    assert expected == len(recorded.named("call"))
