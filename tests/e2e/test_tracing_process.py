"""A server process that is traced as OpenTelemetry's environment says."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from adaptermux.v1 import infer_pb2
from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_server.testing import LocalServer, local_server
from tests.e2e.test_tracing import PHASES, TRACES, metadata_of, of_trace
from tests.e2e.zoo import Zoo
from tests.support.collector import http_collector


@contextmanager
def process(zoo: Zoo, environment: dict[str, str]) -> Iterator[LocalServer]:
    """A server process with one adapter, which logs all."""
    arguments = ["--model", str(zoo.base), "--adapter", f"topic={zoo.residents['topic'].folder}"]
    with local_server([*arguments, "--num-threads", "1", "--log-level", "debug"], environment) as server:
        yield server


def ask_process(server: LocalServer, num_calls: int = 1) -> None:
    with grpc.insecure_channel(server.data_address) as channel:
        request = infer_pb2.ClassifyRequest(adapter="topic", inputs=[infer_pb2.Input(text="a secret cat")])
        for _ in range(num_calls):
            InferStub(channel).Classify(request, metadata=metadata_of(0), timeout=30)


def test_a_server_process_is_traced_by_the_environment_and_logs_the_same_ids(zoo: Zoo) -> None:
    with http_collector() as collected:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected.endpoint, "OTEL_SERVICE_NAME": "mine"}
        with process(zoo, environment) as server:
            ask_process(server)

            assert 0 == server.stop()

    # What wasn't sent before was at the end.
    assert sorted([*PHASES, "adaptermux.v1.Infer/Classify"]) == sorted(s.name for s in of_trace(collected.spans, 0))
    assert "mine" == collected.resource["service.name"]
    (line,) = (line for line in server.log if line.get("event") == "call")
    assert ("caller-0", TRACES[0], "OK") == (line["request_id"], line["trace_id"], line["code"])
    assert "secret" not in json.dumps(server.log)


def test_a_collector_that_is_gone_hurts_neither_calls_nor_the_end(zoo: Zoo) -> None:
    with process(zoo, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as server:
        ask_process(server, num_calls=50)
        started = time.monotonic()

        assert 0 == server.stop()

    assert time.monotonic() - started < 10
