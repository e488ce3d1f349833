"""A server's process of two adapters and slow forwards, and calls to it: each must get an answer or a status."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_server.types import Task
from tests.e2e.expected import TEXTS, Expected
from tests.e2e.harness import plain_channel
from tests.faults.server_forks import ForkedServer, Forks
from tests.faults.tampering import FORWARD_SECONDS

SENTIMENT, POS = "sentiment", "pos"
PATIENCE_SECONDS = 30.0
BATCH_ROWS = 4
FORWARD = 0.03

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Pressed:
    """The server, and stubs of a client that never retries. What they answer is compared with plain PEFT."""

    process: ForkedServer
    expected: Mapping[str, Expected]
    data: grpc.aio.Channel
    control: grpc.aio.Channel

    async def classify(self, index: int = 0, seconds: float = PATIENCE_SECONDS) -> str:
        """Ask `sentiment` one text; returns "OK", or the reason (or else the code) of the refusal."""
        options = infer_pb2.ClassifyOptions(return_logits=True)
        request = infer_pb2.ClassifyRequest(adapter=SENTIMENT, inputs=[_input(index)], options=options)
        return await self._outcome(SENTIMENT, index, self._infer.Classify(request, timeout=seconds))

    async def tag(self, index: int = 0, seconds: float = PATIENCE_SECONDS) -> str:
        """Ask `pos`; as `classify`."""
        options = infer_pb2.TagOptions(return_logits=True)
        request = infer_pb2.TagTokensRequest(adapter=POS, inputs=[_input(index)], options=options)
        return await self._outcome(POS, index, self._infer.TagTokens(request, timeout=seconds))

    async def num_queued(self) -> int:
        """Rows that wait."""
        status = await self._admin.GetServerStatus(adapter_admin_pb2.GetServerStatusRequest())
        return sum(queue.num_rows for queue in status.queues)

    async def num_in_flight(self) -> int:
        """Requests that the server has accepted and not answered."""
        listed = await self._admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest())
        return sum(adapter.num_in_flight for adapter in listed.adapters)

    def watch_health(self) -> Any:
        """A stream of the data listener's health."""
        stub: Any = health_pb2_grpc.HealthStub(self.data)
        return stub.Watch(health_pb2.HealthCheckRequest(service="adaptermux.v1.Infer"))

    async def until_in_flight(self, num_requests: int) -> None:
        """Return once so many requests are accepted and not answered."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.num_in_flight() < num_requests:  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(_POLL_SECONDS)

    async def ended(self) -> int:
        """Wait for the process; returns how it ended."""
        return await asyncio.to_thread(self.process.wait)

    @property
    def _infer(self) -> Any:
        return InferStub(self.data)

    @property
    def _admin(self) -> Any:
        return AdapterAdminStub(self.control)

    async def _outcome(self, adapter: str, index: int, call: Any) -> str:
        try:
            response = await call
        except grpc.RpcError as error:
            return _told(from_rpc_error(error))
        self.expected[adapter].assert_answered(index, response.results[0])
        return "OK"


@asynccontextmanager
async def pressed(
    forks: Forks, folders: tuple[Path, Path], log: Path, *arguments: str, **environment: str
) -> AsyncIterator[Pressed]:
    """Run such a server."""
    base, root = folders
    adapters = {SENTIMENT: Task.SEQUENCE_CLASSIFICATION, POS: Task.TOKEN_CLASSIFICATION}
    common = ["--model", str(base), "--num-threads", "1", "--executor", "switch", "--max-batch-rows", str(BATCH_ROWS)]
    loaded = [part for name in adapters for part in ("--adapter", f"{name}={root / name}")]
    slow = {FORWARD_SECONDS: str(FORWARD), **environment}
    with forks.server(log, [*common, *loaded, *arguments], **slow) as server:
        data, control = (plain_channel(server.address(listener)) for listener in ("data", "admin"))
        async with data, control:
            yield Pressed(
                server, {name: Expected(base, root / name, task) for name, task in adapters.items()}, data, control
            )


def _input(index: int) -> infer_pb2.Input:
    return infer_pb2.Input(text=TEXTS[index])


def _told(error: AdapterMuxClientError) -> str:
    """A full queue must say when to come again."""
    assert error.reason != "QUEUE_FULL" or (error.retry_after_seconds or 0) > 0
    return error.reason or error.code.name
