"""Request ids, lines of the log and traces, from callers to forwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux_server.types import BatchPlan
from tests.e2e.harness import Harness, eventually, served
from tests.e2e.zoo import Zoo
from tests.support.collector import Collected, attributes_of, http_collector

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACES = ("0af7651916cd43dd8448eb211c80319c", "11111111111111111111111111111111")
CALLER_SPAN = "b7ad6b7169203331"
TEXT = "a secret cat"
PHASES = ("tokenise", "queue", "forward", "post-process")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@asynccontextmanager
async def traced(zoo: Zoo, **settings: Any) -> AsyncIterator[tuple[Harness, Collected]]:
    """A server in this process that sends its spans to a collector, with two adapters of the bank."""
    adapters = {name: str(zoo.residents[name].folder) for name in ("topic", "pos")}
    with http_collector() as collected:
        endpoint = collected.endpoint
        async with served(
            model=str(zoo.base), adapters=adapters, num_threads=1, tracing_endpoint=endpoint, **settings
        ) as harness:
            yield harness, collected


def metadata_of(index: int) -> tuple[tuple[str, str], ...]:
    """Of a caller with a trace and an id of their own."""
    return (("traceparent", f"00-{TRACES[index]}-{CALLER_SPAN}-01"), ("x-request-id", f"caller-{index}"))


def classify(harness: Harness, metadata: tuple[tuple[str, str], ...] = (), adapter: str = "topic") -> Any:
    request = infer_pb2.ClassifyRequest(adapter=adapter, inputs=[infer_pb2.Input(text=TEXT)])
    return harness.infer.Classify(request, metadata=metadata)


def tag(harness: Harness, metadata: tuple[tuple[str, str], ...]) -> Any:
    request = infer_pb2.TagTokensRequest(adapter="pos", inputs=[infer_pb2.Input(text=TEXT)])
    return harness.infer.TagTokens(request, metadata=metadata)


def of_trace(spans: list[Span], index: int) -> list[Span]:
    return [span for span in spans if span.trace_id.hex() == TRACES[index]]


def linked(span: Span) -> set[bytes]:
    """The spans that a span links to."""
    return {link.span_id for link in span.links}


def call_of(spans: list[Span]) -> Span:
    """The span of the call among those of a trace."""
    return next(span for span in spans if span.kind == Span.SPAN_KIND_SERVER)


async def collected_when(collected: Collected, num_calls: int) -> list[Span]:
    """All spans, once those of so many calls have ended."""

    def holds(spans: list[Span]) -> bool:
        return sum(span.kind == Span.SPAN_KIND_SERVER for span in spans) >= num_calls

    return await asyncio.to_thread(collected.wait, holds)


async def test_two_callers_in_one_forward_are_linked_to_it_each_from_their_own_trace(zoo: Zoo) -> None:
    async with traced(zoo) as (harness, collected):
        async with harness.occupied(lambda: classify(harness)):
            calls = [classify(harness, metadata_of(0)), tag(harness, metadata_of(1))]
            both = asyncio.gather(*calls)
            await eventually(lambda: harness.scheduler.status().num_rows_queued == 2)
            harness.executor.release()
            await both
        spans = await collected_when(collected, 3)

    for index, name in enumerate(("Classify", "TagTokens")):
        trace = of_trace(spans, index)
        call = call_of(trace)
        assert f"adaptermux.v1.Infer/{name}" == call.name
        assert CALLER_SPAN == call.parent_span_id.hex()
        assert sorted(PHASES) == sorted(span.name for span in trace if span is not call)
        assert {call.span_id} == {span.parent_span_id for span in trace if span is not call}
        assert f"caller-{index}" == attributes_of(call)["adaptermux.request_id"]
    ours = {call_of(of_trace(spans, index)).span_id for index in range(2)}
    (forward,) = (span for span in spans if linked(span) == ours)
    assert b"" == forward.parent_span_id
    assert forward.trace_id.hex() not in TRACES
    assert (2, ("pos", "topic")) == (
        attributes_of(forward)["adaptermux.rows"],
        attributes_of(forward)["adaptermux.adapters"],
    )
    for index in range(2):
        (own,) = (span for span in of_trace(spans, index) if span.name == "forward")
        assert {forward.span_id} == linked(own)
    assert {("topic", "caller-0"), ("pos", "caller-1")} == {
        (row.adapter, row.request_id) for row in harness.scheduler.recorder.recent[-1].rows
    }
    assert "secret" not in str(spans)


async def test_a_failing_forward_is_an_incident_in_the_traces_of_those_it_served(zoo: Zoo) -> None:
    def fail(plan: object) -> Any:
        raise RuntimeError("of a tenant")

    async with traced(zoo) as (harness, collected):
        harness.executor.tampering.append(fail)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await classify(harness, metadata_of(0))
        spans = of_trace(await collected_when(collected, 1), 0)

    call = call_of(spans)
    incident = attributes_of(call)["adaptermux.incident"]
    assert incident in str(caught.value.details())
    assert (13, "INTERNAL") == (
        attributes_of(call)["rpc.grpc.status_code"],
        attributes_of(call)["adaptermux.reason"],
    )
    failed = [span.name for span in spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert sorted(["forward", call.name]) == sorted(failed)
    assert "tenant" not in str(spans)


async def test_each_request_of_a_stream_is_a_span_with_an_id_of_both(zoo: Zoo) -> None:
    def request(own_id: str, adapter: str) -> infer_pb2.StreamAnalyzeRequest:
        analyze = infer_pb2.AnalyzeRequest(
            tasks=[infer_pb2.AnalyzeTask(adapter=adapter)], inputs=[infer_pb2.Input(text="x")]
        )
        return infer_pb2.StreamAnalyzeRequest(request_id=own_id, request=analyze)

    async with traced(zoo) as (harness, collected):
        requests = iter([request("good", "topic"), request("bad", "nobody")])
        stream = harness.infer.StreamAnalyze(requests, metadata=metadata_of(0))
        async for _ in stream:
            pass
        assert "caller-0" == dict(await stream.trailing_metadata())["x-request-id"]
        assert ["caller-0/good"] == [row.request_id for row in harness.scheduler.recorder.recent[-1].rows]
        spans = of_trace(await collected_when(collected, 1), 0)

    requests_by_id = {
        attributes_of(span)["adaptermux.request_id"]: span for span in spans if span.name == "StreamAnalyze request"
    }
    assert {"caller-0/good", "caller-0/bad"} == set(requests_by_id)
    assert {call_of(spans).span_id} == {span.parent_span_id for span in requests_by_id.values()}
    good, bad = requests_by_id["caller-0/good"], requests_by_id["caller-0/bad"]
    assert "ADAPTER_NOT_FOUND" == attributes_of(bad)["adaptermux.reason"]
    assert sorted(PHASES) == sorted(span.name for span in spans if span.parent_span_id == good.span_id)


async def test_a_load_and_what_a_request_waits_for_are_phases(zoo: Zoo) -> None:
    async with traced(zoo, adapter_roots=(str(zoo.root),), max_device_adapters=2) as (harness, collected):
        load = adapter_admin_pb2.LoadAdapterRequest(adapter_id="guest", uri=str(zoo.guest.folder))
        await harness.admin.LoadAdapter(load, metadata=metadata_of(0))
        # By now one of the other two has left the engine.
        await tag(harness, metadata_of(1))
        await classify(harness, metadata_of(1))
        spans = await collected_when(collected, 3)

    loading = of_trace(spans, 0)
    assert {"fetch", "read", "prepare", "store", "install"} <= {span.name for span in loading}
    (waiting, *_) = (span for span in of_trace(spans, 1) if span.name == "bring up")
    assert ("host",) == attributes_of(waiting)["adaptermux.tiers"]
    assert "install" in {span.name for span in of_trace(spans, 1) if span.parent_span_id == waiting.span_id}


async def test_of_a_call_that_is_not_recorded_no_forward_is_either(zoo: Zoo) -> None:
    async with traced(zoo, tracing_ratio=0.0) as (harness, collected):
        await classify(harness)

    assert [] == collected.spans


async def test_without_a_collector_nothing_is_traced(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    adapters = {"topic": str(zoo.residents["topic"].folder)}
    async with served(model=str(zoo.base), adapters=adapters, num_threads=1) as harness:
        plans: list[BatchPlan] = []

        def see(plan: BatchPlan) -> BatchPlan:
            plans.append(plan)
            return plan

        harness.executor.tampering.append(see)
        await classify(harness, metadata_of(0))

    assert [None] == [row.span for row in plans[0].rows]
    assert ["caller-0"] == [row.request_id for row in harness.scheduler.recorder.recent[-1].rows]
