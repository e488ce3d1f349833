"""`WatchBatches` of a whole server: what was computed is told, a slow watcher misses some, its end ends the watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux_server.scheduler.recorder import BatchRecorder
from adaptermux_server.types import Task
from tests.e2e.asking import ask
from tests.e2e.expected import TEXTS
from tests.e2e.harness import Harness, ending_before_its_clients, eventually
from tests.e2e.zoo import Zoo

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PATIENCE_SECONDS = 60.0
_SMALL_WINDOW = [
    ("grpc.http2.lookahead_bytes", 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
_LOG_SIZE = 4
_NUM_REQUESTS = 30
_ROWS_OF_A_REQUEST = 64


class Watch:
    """A watch that has begun at the server. Forwards of the base alone, by which it was found out, are left out."""

    def __init__(self, call: Any, first: adapter_admin_pb2.WatchBatchesResponse) -> None:
        self.call = call
        self.num_missed = first.num_missed

    async def batches(self, num_rows: int) -> list[adapter_admin_pb2.Batch]:
        """Forwards until they have that many rows."""
        found: list[adapter_admin_pb2.Batch] = []
        while sum(len(batch.rows) for batch in found) < num_rows:
            found += await self.next()
        return found

    async def next(self) -> list[adapter_admin_pb2.Batch]:
        """Those of the next response."""
        response = await self.call.read()
        assert response is not grpc.aio.EOF
        self.num_missed += response.num_missed
        return [batch for batch in response.batches if any(row.adapter_id for row in batch.rows)]

    async def to_its_end(self) -> NoReturn:
        """Read on. Raises what the stream ends with."""
        while True:
            await self.next()


@asynccontextmanager
async def watching(harness: Harness, admin: Any = None) -> AsyncIterator[Watch]:
    """Watch; whatever is asked within the context is told."""
    request = adapter_admin_pb2.WatchBatchesRequest()
    call = (admin or harness.admin).WatchBatches(request, timeout=_PATIENCE_SECONDS)
    first = asyncio.ensure_future(call.read())
    # No response says that a watch has begun, until something is computed.
    while not first.done():
        await harness.infer.Embed(infer_pb2.EmbedRequest(inputs=[infer_pb2.Input(text="x")]))
    try:
        yield Watch(call, await first)
    finally:
        call.cancel()


async def test_forwards_are_told_with_the_rows_of_each_adapter(harness: Harness) -> None:
    """Ids, lengths, waits and kernels; rows of two adapters of the bank share a forward."""
    async with watching(harness) as watch:
        async with harness.occupied(lambda: ask(harness, "language", Task.SEQUENCE_CLASSIFICATION, [5])):
            waiting = [
                asyncio.ensure_future(ask(harness, name, task, [0, 1]))
                for name, task in (("topic", Task.SEQUENCE_CLASSIFICATION), ("pos", Task.TOKEN_CLASSIFICATION))
            ]
            await eventually(lambda: harness.scheduler.status().num_rows_queued == 4)
        await asyncio.gather(*waiting)
        found = await watch.batches(5)

    rows = [row for batch in found for row in batch.rows]
    lengths = [len(TEXTS[index].split()) + 2 for index in (0, 1)]
    assert ["language"] == [row.adapter_id for row in found[0].rows]
    for adapter in ("topic", "pos"):
        assert sorted(lengths) == sorted(row.num_tokens for row in rows if row.adapter_id == adapter)
    assert any({"topic", "pos"} <= {row.adapter_id for row in batch.rows} for batch in found)
    assert all(batch.kernel in {"uniform", "segments", "gathered"} for batch in found)
    assert all(batch.num_padded_tokens >= sum(row.num_tokens for row in batch.rows) for batch in found)
    assert all(row.queue_wait.ToNanoseconds() > 0 for row in rows if row.adapter_id != "language")


async def test_a_forward_outside_of_the_bank_tells_of_its_traversal(harness: Harness) -> None:
    """The times of forwards don't overlap: by the server's clock each begins after the one before."""
    async with watching(harness) as watch:
        for name, task in (("grade", Task.SEQUENCE_CLASSIFICATION), ("ner", Task.TOKEN_CLASSIFICATION)) * 2:
            await ask(harness, name, task, [0])
        found = await watch.batches(4)

    assert ["grade", "ner"] * 2 == [batch.rows[0].adapter_id for batch in found]
    assert {"switch"} == {batch.kernel for batch in found}
    assert all(batch.compute.ToNanoseconds() > 0 for batch in found)
    begins = [batch.start_time.ToNanoseconds() for batch in found]
    assert sorted(begins) == begins


async def test_a_slow_watcher_misses_some_and_holds_up_nobody(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are answered while it doesn't read; once it does, it is told how many it missed, and goes on."""
    monkeypatch.setattr(harness.scheduler, "recorder", BatchRecorder(_LOG_SIZE))
    slow_channel = grpc.aio.insecure_channel(harness.server.admin_address, options=_SMALL_WINDOW)
    async with slow_channel, watching(harness, AdapterAdminStub(slow_channel)) as slow:
        for _ in range(_NUM_REQUESTS):
            await ask(harness, "sentiment", Task.SEQUENCE_CLASSIFICATION, [0] * _ROWS_OF_A_REQUEST)
        await ask(harness, "topic", Task.SEQUENCE_CLASSIFICATION, [0])

        told: list[adapter_admin_pb2.Batch] = []
        while not told or told[-1].rows[0].adapter_id != "topic":
            told += await slow.next()

    assert slow.num_missed > 0
    assert len(told) >= _LOG_SIZE


async def test_the_end_of_the_server_ends_a_watch(zoo: Zoo) -> None:
    """UNAVAILABLE: whoever watches comes back, to the next server."""
    async with AsyncExitStack() as stack:
        async with ending_before_its_clients(model=str(zoo.base), num_threads=1) as harness:
            watch = await stack.enter_async_context(watching(harness))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.to_its_end()
    await harness.close()

    assert grpc.StatusCode.UNAVAILABLE == caught.value.code()
