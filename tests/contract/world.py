"""What every case needs: a server with a few adapters, and how to assert that it refused or answered."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_server.types import Task
from tests.e2e.expected import TEXTS, Expected
from tests.e2e.harness import Harness, served
from tests.support.models import make_adapter, make_base

# Small enough to be filled by a test.
MAX_QUEUED_ROWS = 24
MAX_QUEUED_ROWS_PER_ADAPTER = 16
MAX_BATCH_ROWS = 4
MAX_STREAMED = 4

_LEAKS = ("Traceback", 'File "', "site-packages", "adaptermux_server", "Error(", " at 0x")


@dataclass(frozen=True)
class World:
    """A server and its adapters: `sentiment`, `pos` and `qa` serve, `spare` lies beside them under the same root."""

    harness: Harness
    root: Path
    base: Path
    expected: Mapping[str, Expected]

    @property
    def infer(self) -> Any:
        return self.harness.infer

    @property
    def admin(self) -> Any:
        return self.harness.admin

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
        assert 0 == self.harness.scheduler.status().num_rows_queued


Scenario = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One bad input of a row of the contract's table."""

    row: int
    name: str
    scenario: Scenario


@asynccontextmanager
async def world(root: Path) -> AsyncIterator[World]:
    """Make a base and adapters below `root`, and serve them."""
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
    settings = {
        "model": str(base),
        "adapters": {name: str(adapters / name) for name in ("sentiment", "pos", "qa")},
        "adapter_roots": (str(adapters),),
        "max_queued_rows": MAX_QUEUED_ROWS,
        "max_queued_rows_per_adapter": MAX_QUEUED_ROWS_PER_ADAPTER,
        "max_batch_rows": MAX_BATCH_ROWS,
        "max_concurrent_streamed_requests": MAX_STREAMED,
        "num_threads": 1,
    }
    expected = {name: Expected(base, adapters / name, task) for name, (task, _) in made.items()}
    async with served(**settings) as harness:
        yield World(harness, adapters, base, {"": Expected(base, None, Task.FEATURE_EXTRACTION), **expected})


async def refusal(call: Awaitable[object]) -> AdapterMuxClientError:
    """The failure of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def assert_refused(
    error: AdapterMuxClientError,
    code: grpc.StatusCode,
    reason: str,
    *,
    fields: Sequence[str] = (),
    says: Sequence[str] = (),
) -> None:
    """Assert what a refusal tells a program (code, reason, fields of BadRequest) and a person (`says`), and no more."""
    assert (code, reason, tuple(fields)) == (error.code, error.reason, tuple(field for field, _ in error.violations))
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
