"""What every case needs: a server with a few adapters, and how to assert that it refused or answered."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_server.testing import local_server
from adaptermux_server.types import Task
from tests.e2e.expected import TEXTS, Expected
from tests.e2e.harness import Harness, plain_channel, served
from tests.support.models import make_adapter, make_base

# Small enough to be filled by a test.
MAX_QUEUED_ROWS = 24
MAX_QUEUED_ROWS_PER_ADAPTER = 16
MAX_BATCH_ROWS = 4
MAX_STREAMED = 4
SERVED = ("sentiment", "pos", "qa")

_MAX_STATUS_BYTES = 4096
_STATUS = "grpc-status-details-bin"
_LEAKS = ("Traceback", 'File "', "site-packages", "adaptermux_server", "Error(", " at 0x")


@dataclass(frozen=True)
class Ground:
    """What servers stand on: a base and adapters below one allowed root, and what each adapter answers."""

    root: Path
    base: Path
    expected: Mapping[str, Expected]


@dataclass(frozen=True, eq=False)
class World:
    """A server and its adapters: `sentiment`, `pos` and `qa` serve, `spare` lies beside them under the same root."""

    ground: Ground
    data_address: str
    admin_address: str
    data: grpc.aio.Channel
    control: grpc.aio.Channel
    process: psutil.Process
    """That of the server."""
    inner: Harness | None = None
    """None: the server is a process of its own."""

    @classmethod
    def around(cls, harness: Harness, ground: Ground) -> "World":
        """Of a server in this process."""
        addresses = harness.server.data_address, harness.server.admin_address
        return cls(ground, *addresses, harness.data, harness.control, psutil.Process(), harness)

    @property
    def harness(self) -> Harness:
        """The inner parts, for cases that are marked so."""
        assert self.inner is not None, "this case must be marked `inside`"
        return self.inner

    @property
    def root(self) -> Path:
        return self.ground.root

    @property
    def expected(self) -> Mapping[str, Expected]:
        return self.ground.expected

    @cached_property
    def infer(self) -> Any:
        return infer_pb2_grpc.InferStub(self.data)

    @cached_property
    def admin(self) -> Any:
        return adapter_admin_pb2_grpc.AdapterAdminStub(self.control)

    async def status(self) -> adapter_admin_pb2.GetServerStatusResponse:
        """What the server says of itself."""
        request = adapter_admin_pb2.GetServerStatusRequest()
        response: adapter_admin_pb2.GetServerStatusResponse = await self.admin.GetServerStatus(request)
        return response

    def copy_of(self, adapter: str, name: str) -> Path:
        """A folder of a case's own, under the allowed root, to be spoilt."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.root / adapter, folder)
        return folder

    def classify(self, adapter: str = "sentiment", num_rows: int = 1, **kwargs: Any) -> Awaitable[Any]:
        """A good call of `Classify`, of so many rows."""
        inputs = [infer_pb2.Input(text=TEXTS[index % len(TEXTS)]) for index in range(num_rows)]
        options = infer_pb2.ClassifyOptions(return_logits=True)
        call: Awaitable[Any] = self.infer.Classify(
            infer_pb2.ClassifyRequest(adapter=adapter, inputs=inputs, options=options), **kwargs
        )
        return call

    def tag(self, num_rows: int = 1, **kwargs: Any) -> Awaitable[Any]:
        """A good call of `TagTokens`, of so many rows."""
        inputs = [infer_pb2.Input(text=TEXTS[index % len(TEXTS)]) for index in range(num_rows)]
        options = infer_pb2.TagOptions(return_logits=True)
        call: Awaitable[Any] = self.infer.TagTokens(
            infer_pb2.TagTokensRequest(adapter="pos", inputs=inputs, options=options), **kwargs
        )
        return call

    def embed(self, num_rows: int = 1, **kwargs: Any) -> Awaitable[Any]:
        """A good call of `Embed` to the base, of so many rows."""
        inputs = [infer_pb2.Input(text=TEXTS[index % len(TEXTS)]) for index in range(num_rows)]
        call: Awaitable[Any] = self.infer.Embed(infer_pb2.EmbedRequest(inputs=inputs), **kwargs)
        return call

    def load(self, adapter_id: str, folder: Path | str, **fields: Any) -> Awaitable[Any]:
        """A call of `LoadAdapter`."""
        request = adapter_admin_pb2.LoadAdapterRequest(adapter_id=adapter_id, uri=str(folder), **fields)
        call: Awaitable[Any] = self.admin.LoadAdapter(request)
        return call

    def unload(self, adapter_id: str, **fields: Any) -> Awaitable[Any]:
        """A call of `UnloadAdapter`."""
        call: Awaitable[Any] = self.admin.UnloadAdapter(
            adapter_admin_pb2.UnloadAdapterRequest(adapter_id=adapter_id, **fields)
        )
        return call

    async def state_of(self, adapter_id: str) -> str:
        """The name of an adapter's state."""
        response = await self.admin.GetAdapter(adapter_admin_pb2.GetAdapterRequest(adapter_id=adapter_id))
        name: str = adapter_admin_pb2.AdapterState.Name(response.adapter.state)
        return name.removeprefix("ADAPTER_STATE_")

    async def listed(self) -> list[tuple[object, ...]]:
        """What of the list of adapters must not change: all but the counters."""
        response = await self.admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest())
        return [(each.id, each.revision, each.state, each.weight, each.num_in_flight) for each in response.adapters]

    async def assert_answers(self) -> None:
        """Good requests get their right answers, and nothing is left in the queue."""
        classified, tagged, embedded = await self.classify(num_rows=2), await self.tag(2), await self.embed(2)
        for index in range(2):
            self.expected["sentiment"].assert_answered(index, classified.results[index])
            self.expected["pos"].assert_answered(index, tagged.results[index])
            self.expected[""].assert_answered(index, embedded.results[index])
        assert 0 == (await self.status()).num_rows_queued


Scenario = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One bad input of a row of the contract's table."""

    row: int
    name: str
    scenario: Scenario
    inside: bool = False
    """The case holds, watches or breaks inner parts, so the server is in this process; else it is one of its own."""


def make_ground(root: Path) -> Ground:
    """Make a base and adapters below `root`."""
    base = make_base("bert", root / "bases" / "bert")
    adapters = root / "adapters"
    made = {
        "sentiment": (Task.SEQUENCE_CLASSIFICATION, "lora"),
        "pos": (Task.TOKEN_CLASSIFICATION, "lora"),
        "qa": (Task.QUESTION_ANSWERING, "lora"),
        "spare": (Task.SEQUENCE_CLASSIFICATION, "lora"),
    }
    for seed, (name, (task, method)) in enumerate(made.items()):
        make_adapter(base, adapters / name, task, method, seed=seed)
    expected = {name: Expected(base, adapters / name, task) for name, (task, _) in made.items()}
    return Ground(adapters, base, {"": Expected(base, None, Task.FEATURE_EXTRACTION), **expected})


@asynccontextmanager
async def world_inside(ground: Ground, **settings: Any) -> AsyncIterator[World]:
    """Serve in this process; `settings` are more than, or other than, the usual ones."""
    usual = {
        "model": str(ground.base),
        "adapters": {name: str(ground.root / name) for name in SERVED},
        "adapter_roots": (str(ground.root),),
        "max_queued_rows": MAX_QUEUED_ROWS,
        "max_queued_rows_per_adapter": MAX_QUEUED_ROWS_PER_ADAPTER,
        "max_batch_rows": MAX_BATCH_ROWS,
        "max_concurrent_streamed_requests": MAX_STREAMED,
        "num_threads": 1,
    }
    async with served(**{**usual, **settings}) as harness:
        yield World.around(harness, ground)


@asynccontextmanager
async def world_in_a_process(ground: Ground) -> AsyncIterator[World]:
    """Serve in a process of its own, whose log must stay free of failures that nobody foresaw."""
    numbers = {
        "--max-queued-rows": MAX_QUEUED_ROWS,
        "--max-queued-rows-per-adapter": MAX_QUEUED_ROWS_PER_ADAPTER,
        "--max-batch-rows": MAX_BATCH_ROWS,
        "--max-concurrent-streamed-requests": MAX_STREAMED,
        "--num-threads": 1,
    }
    arguments = ["--model", str(ground.base), "--adapter-root", str(ground.root)]
    arguments += [part for name in SERVED for part in ("--adapter", f"{name}={ground.root / name}")]
    arguments += [str(part) for pair in numbers.items() for part in pair]
    with local_server(arguments) as server:
        addresses = server.data_address, server.admin_address
        data, control = map(plain_channel, addresses)
        yield World(ground, *addresses, data, control, psutil.Process(server.process.pid))
        await data.close()
        await control.close()
    failures = [line for line in server.log if "unexpected failure" in str(line) or "Traceback" in str(line)]
    assert not failures, failures[:3]


async def refusal(call: Awaitable[object]) -> AdapterMuxClientError:
    """The failure of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    assert len(_details(caught.value)) <= _MAX_STATUS_BYTES
    return from_rpc_error(caught.value)


def _details(error: Any) -> bytes:
    content: bytes = dict(error.trailing_metadata() or ()).get(_STATUS, b"")
    return content


def assert_refused(
    error: AdapterMuxClientError,
    code: grpc.StatusCode,
    reason: str,
    *,
    fields: Sequence[str] = (),
    says: Sequence[str] = (),
) -> None:
    """Assert what a refusal tells a program (code, reason, fields of BadRequest) and a person (`says`), and no more."""
    violated = tuple(field for field, _ in error.violations)
    assert (code, reason, tuple(fields)) == (error.code, error.reason, violated), error
    for text in says:
        assert text in error.message
    for leak in _LEAKS:
        assert leak not in f"{error.message} {error.metadata}"


def refuses(  # noqa: PLR0917 - reads as a row of the table
    row: int,
    name: str,
    call: Callable[[World], Awaitable[object]],
    code: grpc.StatusCode,
    reason: str,
    fields: Sequence[str] = (),
    says: Sequence[str] = (),
) -> Case:
    """The case of one call that is refused."""

    async def scenario(world: World) -> None:
        assert_refused(await refusal(call(world)), code, reason, fields=fields, says=says)

    return Case(row, name, scenario)
