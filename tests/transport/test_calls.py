import asyncio

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.transport.border import unary
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tokens import TokenFile
from tests.tracing.recording import Recorded
from tests.transport import listening
from tests.transport.listening import admin, bearer, calling, data, eventually, outcome, write_tokens

GetModel, Load = infer_pb2.GetModelRequest, adapter_admin_pb2.LoadAdapterRequest
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def traceparent(*, sampled=True):
    return ("traceparent", f"00-{TRACE}-{SPAN}-{'01' if sampled else '00'}")


def infer_of(channel):
    return infer_pb2_grpc.InferStub(channel)


def admin_of(channel):
    return adapter_admin_pb2_grpc.AdapterAdminStub(channel)


async def returned_id(call):
    """The id that a call ends with, however it ends."""
    await outcome(call)
    return dict(await call.trailing_metadata()).get("x-request-id")


async def lines_of(call, **listener):
    """Lines of the log that a call to the admin listener makes."""
    with capture_logs([merge_contextvars]) as log:
        async with admin(**listener) as reached, calling(reached.address) as channel:
            await outcome(call(admin_of(channel)))
    return [line for line in log if line["event"] != "listening"]


@pytest.mark.parametrize("given", ["a", "~!", "x" * 128, 'a"b', "0f8fad5b-d9cb-469f-a165-70867728950e"])
async def test_a_caller_gets_their_own_id_back(given):
    async with data() as reached, calling(reached.address) as channel:
        call = infer_of(channel).GetModel(GetModel(), metadata=(("x-request-id", given),))

        assert given == await returned_id(call)


@pytest.mark.parametrize("given", [(), ("",), ("x" * 129,), ("two words",), ("a", "b")])
async def test_a_call_without_an_id_that_is_one_gets_a_new_one_and_is_served(given):
    async with data() as reached, calling(reached.address) as channel:
        metadata = tuple(("x-request-id", each) for each in given)
        calls = [infer_of(channel).GetModel(GetModel(), metadata=metadata) for _ in range(2)]
        ids = [await returned_id(call) for call in calls]
        codes = [(await outcome(call))[0] for call in calls]

    assert ["OK", "OK"] == codes
    assert 2 == len({*ids})
    assert not {*ids} & {*given}
    assert [16, 16] == [len(each) for each in ids]


async def test_a_failing_call_returns_its_id_beside_the_details_of_its_status():
    async with admin() as reached, calling(reached.address) as channel:
        request = adapter_admin_pb2.GetAdapterRequest(adapter_id="a")
        call = admin_of(channel).GetAdapter(request, metadata=(("x-request-id", "mine"),))

        assert ("NOT_FOUND", "ADAPTER_NOT_FOUND") == await outcome(call)
        assert "mine" == await returned_id(call)


async def test_streams_return_ids_too():
    async with data() as reached, calling(reached.address) as channel:
        stream = infer_of(channel).StreamAnalyze(
            iter([infer_pb2.StreamAnalyzeRequest()]), metadata=(("x-request-id", "mine"),)
        )
        responses = [response async for response in stream]

        assert 1 == len(responses)
        assert "mine" == dict(await stream.trailing_metadata())["x-request-id"]


async def test_a_call_that_is_refused_has_an_id_for_its_caller_and_in_the_audit_log(tmp_path):
    security = Security(tokens=TokenFile(write_tokens(tmp_path / "tokens.toml", ("amx_a", "ops", Role.ADMIN))))
    ids = []

    async def refused(stub):
        ids.append(await returned_id(stub.LoadAdapter(Load(adapter_id="a"), metadata=bearer("amx_x"))))

    lines = await lines_of(refused, security=security)

    assert [("audit", "UNAUTHENTICATED"), ("call", "UNAUTHENTICATED")] == [(e["event"], e["code"]) for e in lines]
    assert ids * 2 == [line["request_id"] for line in lines]


async def test_a_failure_of_the_server_is_found_by_the_id_and_by_the_incident():
    recorded = Recorded()

    lines = await lines_of(
        lambda stub: stub.LoadAdapter(Load(adapter_id="broken"), metadata=(("x-request-id", "mine"), traceparent())),
        tracer=recorded.tracing.calls,
    )

    cause, _, ended = lines
    assert ["unexpected failure", "audit", "call"] == [line["event"] for line in lines]
    assert [("mine", TRACE)] * 3 == [(line["request_id"], line["trace_id"]) for line in lines]
    assert ("error", "warning") == (cause["log_level"], ended["log_level"])
    assert "/home/tenant" in str(cause["exc_info"])
    assert cause["incident"] == ended["incident"] == recorded.one("LoadAdapter").attributes["adaptermux.incident"]
    assert {"rpc": "LoadAdapter", "code": "INTERNAL", "reason": "INTERNAL"}.items() <= ended.items()
    assert 0 < ended["seconds"] < 10


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda stub: stub.LoadAdapter(Load(adapter_id="a")), "OK"),
        (lambda stub: stub.GetAdapter(adapter_admin_pb2.GetAdapterRequest(adapter_id="a")), "NOT_FOUND"),
    ],
)
async def test_calls_that_go_as_they_should_are_no_news(call, code):
    (line,) = (line for line in await lines_of(call) if line["event"] == "call")

    assert ("debug", code) == (line["log_level"], line["code"])


async def test_a_server_that_is_not_to_be_had_says_so(monkeypatch):
    @unary
    async def refuse(servicer, request, context):
        raise ShuttingDownError

    monkeypatch.setattr(listening.Admin, "LoadAdapter", refuse)

    (line,) = (line for line in await lines_of(lambda stub: stub.LoadAdapter(Load())) if line["event"] == "call")

    assert ("info", "UNAVAILABLE", "SHUTTING_DOWN") == (line["log_level"], line["code"], line["reason"])


async def test_a_call_that_is_cancelled_is_logged_and_its_span_ends():
    recorded = Recorded()
    with capture_logs([merge_contextvars]) as log:
        async with admin(tracer=recorded.tracing.calls) as reached, calling(reached.address) as channel:
            call = admin_of(channel).LoadAdapter(Load(adapter_id="slow"))
            sent = asyncio.ensure_future(outcome(call))
            await reached.servicer.loading.wait()
            call.cancel()
            await eventually(lambda: any(line["event"] == "call" for line in log))
            await asyncio.wait([sent])

    (line,) = (line for line in log if line["event"] == "call")
    assert "CANCELLED" == line["code"]
    assert (1, StatusCode.UNSET) == (
        recorded.one("LoadAdapter").attributes["rpc.grpc.status_code"],
        recorded.one("LoadAdapter").status.status_code,
    )


async def test_calls_side_by_side_keep_their_ids_apart():
    with capture_logs([merge_contextvars]) as log:
        async with admin() as reached, calling(reached.address) as channel:
            stub, ids = admin_of(channel), [f"call-{i}" for i in range(20)]
            calls = [stub.LoadAdapter(Load(adapter_id=each), metadata=(("x-request-id", each),)) for each in ids]
            assert ids == [await returned_id(call) for call in calls]

    assert dict.fromkeys(ids, 2) == {
        each: sum(line.get("request_id") == each for line in log if line.get("adapter_id", each) == each)
        for each in ids
    }
    assert {} == get_contextvars()


async def test_the_span_of_a_call_is_below_its_callers():
    recorded = Recorded()
    async with data(tracer=recorded.tracing.calls) as reached, calling(reached.address) as channel:
        metadata = (("x-request-id", "mine"), traceparent(), ("tracestate", "a=b"))
        await infer_of(channel).GetModel(GetModel(), metadata=metadata)

    span = recorded.one("GetModel")
    assert ("adaptermux.v1.Infer/GetModel", SpanKind.SERVER) == (span.name, span.kind)
    assert (int(TRACE, 16), int(SPAN, 16)) == (span.context.trace_id, span.parent.span_id)
    assert {
        "rpc.system": "grpc",
        "rpc.service": "adaptermux.v1.Infer",
        "rpc.method": "GetModel",
        "rpc.grpc.status_code": 0,
        "adaptermux.request_id": "mine",
    } == dict(span.attributes)


@pytest.mark.parametrize("metadata", [(), (("traceparent", "00-nonsense"),)])
async def test_a_call_of_no_trace_begins_one(metadata):
    recorded = Recorded()
    async with data(tracer=recorded.tracing.calls) as reached, calling(reached.address) as channel:
        await infer_of(channel).GetModel(GetModel(), metadata=metadata)

    assert recorded.one("GetModel").parent is None


async def test_a_call_that_its_caller_does_not_record_is_not_recorded_but_found_in_the_log():
    recorded = Recorded()
    with capture_logs([merge_contextvars]) as log:
        async with data(tracer=recorded.tracing.calls) as reached, calling(reached.address) as channel:
            await infer_of(channel).GetModel(GetModel(), metadata=(traceparent(sampled=False),))

    assert () == recorded.spans
    assert [TRACE] == [line["trace_id"] for line in log if line["event"] == "call"]


@pytest.mark.parametrize(
    ("call", "number", "status", "reason"),
    [
        (lambda stub: stub.LoadAdapter(Load(adapter_id="broken")), 13, StatusCode.ERROR, "INTERNAL"),
        (
            lambda stub: stub.GetAdapter(adapter_admin_pb2.GetAdapterRequest(adapter_id="a")),
            5,
            StatusCode.UNSET,
            "ADAPTER_NOT_FOUND",
        ),
    ],
)
async def test_only_what_the_server_failed_to_do_is_an_error(call, number, status, reason):
    recorded = Recorded()

    await lines_of(call, tracer=recorded.tracing.calls)

    (span,) = recorded.spans
    assert status is span.status.status_code
    assert (number, reason) == (span.attributes["rpc.grpc.status_code"], span.attributes["adaptermux.reason"])
    assert "tenant" not in span.to_json()


async def test_the_span_and_the_line_name_the_caller_but_not_the_token(tmp_path):
    recorded = Recorded()
    security = Security(tokens=TokenFile(write_tokens(tmp_path / "tokens.toml", ("amx_secret", "ops", Role.ADMIN))))

    lines = await lines_of(
        lambda stub: stub.LoadAdapter(Load(adapter_id="a"), metadata=bearer("amx_secret")),
        security=security,
        tracer=recorded.tracing.calls,
    )

    assert "ops" == recorded.one("LoadAdapter").attributes["adaptermux.caller"]
    assert ["ops"] == [line["caller"] for line in lines if line["event"] == "call"]
    assert "amx_secret" not in str(lines) + recorded.one("LoadAdapter").to_json()
