"""The server process that is fuzzed: what it answers, what it uses, and what its log says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.testing import LocalServer
from tests.e2e.expected import TEXTS, Expected

CALL_SECONDS = 20.0
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
_MORE_BYTES, _MORE_DESCRIPTORS, _MORE_THREADS = 96 << 20, 16, 16


@dataclass(frozen=True)
class Usage:
    """What the process holds."""

    num_bytes: int
    num_descriptors: int
    num_threads: int


@dataclass
class Target:
    """A server with the adapters `sentiment` and `pos`."""

    server: LocalServer
    root: Path
    expected: dict[str, Expected]
    data: grpc.Channel = field(init=False)
    admin: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.data = grpc.insecure_channel(self.server.data_address, _OPTIONS)
        self.admin = grpc.insecure_channel(self.server.admin_address, _OPTIONS)

    def address(self, listener: str) -> tuple[str, int]:
        """Host and port of "data" or "admin"."""
        address = {"data": self.server.data_address, "admin": self.server.admin_address}[listener]
        host, _, port = address.rpartition(":")
        return host, int(port)

    def assert_answers(self) -> None:
        """Good calls to both listeners are answered, and rightly."""
        inputs = [infer_pb2.Input(text=text) for text in TEXTS[:2]]
        infer: Any = infer_pb2_grpc.InferStub(self.data)  # type: ignore[no-untyped-call,unused-ignore]
        classified = infer.Classify(
            infer_pb2.ClassifyRequest(
                adapter="sentiment", inputs=inputs, options=infer_pb2.ClassifyOptions(return_logits=True)
            ),
            timeout=CALL_SECONDS,
        )
        tagged = infer.TagTokens(
            infer_pb2.TagTokensRequest(adapter="pos", inputs=inputs, options=infer_pb2.TagOptions(return_logits=True)),
            timeout=CALL_SECONDS,
        )
        for name, response in (("sentiment", classified), ("pos", tagged)):
            for index, result in enumerate(response.results):
                self.expected[name].assert_answered(index, result)
        self.status()

    def status(self) -> adapter_admin_pb2.GetServerStatusResponse:
        """What the server says of itself."""
        stub: Any = adapter_admin_pb2_grpc.AdapterAdminStub(self.admin)  # type: ignore[no-untyped-call,unused-ignore]
        request = adapter_admin_pb2.GetServerStatusRequest()
        response: adapter_admin_pb2.GetServerStatusResponse = stub.GetServerStatus(request, timeout=CALL_SECONDS)
        return response

    def usage(self) -> Usage:
        """What the process holds now."""
        process = psutil.Process(self.server.process.pid)
        return Usage(process.memory_info().rss, process.num_fds(), process.num_threads())

    def assert_usage(self, before: Usage) -> None:
        """Assert that the process holds about what it held before."""
        now = self.usage()
        assert now.num_bytes - before.num_bytes < _MORE_BYTES
        assert now.num_descriptors - before.num_descriptors < _MORE_DESCRIPTORS
        assert now.num_threads - before.num_threads < _MORE_THREADS

    def assert_clean_log(self) -> None:
        """Assert that nothing failed in a way that nobody foresaw."""
        unforeseen = [line for line in self.server.log if _is_unforeseen(line)]
        assert not unforeseen, unforeseen[:3]

    def close(self) -> None:
        """Close the channels."""
        self.data.close()
        self.admin.close()


def _is_unforeseen(line: dict[str, object]) -> bool:
    # gRPC's own Python part can't decode every user agent, logs so, and goes on.
    if line.get("logger") == "grpc._cython.cygrpc" and str(line["event"]).startswith("Invalid encoding on"):
        return False
    # A line that isn't JSON comes from a library or the interpreter itself; no client may be able to write one.
    said = str(line)
    return "line" in line or "unexpected failure" in said or "Traceback" in said or "never retrieved" in said
