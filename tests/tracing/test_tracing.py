import socket
import threading
import time
from importlib.metadata import version

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from adaptermux_server.tracing.tracing import Tracing, open_tracing
from adaptermux_server.tracing.wanted import TracingError, is_wanted
from tests.support.collector import grpc_collector, http_collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in (ENDPOINT, PROTOCOL, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "endpoint", "expected"),
    [
        ({}, None, False),
        ({}, "http://a", True),
        ({ENDPOINT: "http://a"}, None, True),
        ({ENDPOINT: ""}, None, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, None, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a"}, None, False),
        ({ENDPOINT: "http://a", "OTEL_SDK_DISABLED": "True"}, None, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, "http://a", False),
    ],
)
def test_traces_are_made_where_they_have_somewhere_to_go(monkeypatch, environment, endpoint, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert expected is is_wanted(endpoint)


@pytest.mark.parametrize(("protocol", "collector"), [("http/protobuf", http_collector), ("grpc", grpc_collector)])
@pytest.mark.parametrize("by_setting", [True, False])
async def test_what_is_left_is_sent_at_the_end(monkeypatch, protocol, collector, by_setting):
    monkeypatch.setenv(PROTOCOL, protocol)
    with collector() as collected:
        if not by_setting:
            monkeypatch.setenv(ENDPOINT, collected.endpoint)
        tracing = open_tracing(collected.endpoint if by_setting else None, None, "1.2")
        tracing.calls.start_span("call").end()
        await tracing.close()

    assert ["call"] == [span.name for span in collected.spans]
    assert ("adaptermux", "1.2") == (collected.resource["service.name"], collected.resource["service.version"])


async def test_the_operator_names_the_service(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    with http_collector() as collected:
        tracing = open_tracing(collected.endpoint, None, version("adaptermux"))
        tracing.calls.start_span("call").end()
        await tracing.close()

    assert ("mine", "test") == (collected.resource["service.name"], collected.resource["deployment.environment"])


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("listens", [True, False])
async def test_a_dead_collector_holds_nobody_up_for_more_than_two_seconds(monkeypatch, protocol, listens):
    """Neither one that refuses to be connected, nor one that takes connections and says nothing."""
    monkeypatch.setenv(PROTOCOL, protocol)
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        if listens:
            dead.listen()
        tracing = open_tracing(f"http://127.0.0.1:{dead.getsockname()[1]}", None, "")
        started = time.monotonic()
        for _ in range(5000):
            tracing.calls.start_span("call").end()
        made = time.monotonic()
        await tracing.close()
        closed = time.monotonic()

    assert made - started < 5
    assert closed - made < 3


async def test_a_processor_that_hangs_is_left_behind():
    class Hanging(SpanProcessor):
        def shutdown(self):
            release.wait()

    release = threading.Event()
    started = time.monotonic()

    await Tracing(Hanging()).close()

    assert time.monotonic() - started < 3
    release.set()


def test_a_protocol_that_is_not_known_is_refused(monkeypatch):
    monkeypatch.setenv(PROTOCOL, "http/json")

    with pytest.raises(TracingError, match="http/json"):
        open_tracing("http://127.0.0.1:1", None, "")
