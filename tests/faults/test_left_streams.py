"""Streams that clients leave in the middle: the process lives on, and each is noted in the audit log."""

import asyncio
from pathlib import Path

from adaptermux.v1 import adapter_admin_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from tests.e2e.harness import plain_channel
from tests.faults.pressed import Pressed, pressed
from tests.faults.server_forks import Forks

_NUM_STREAMS = 200
_NUM_AT_ONCE = 8
_POLL_SECONDS = 0.01


async def _leave(server: Pressed) -> None:
    """Read the first of what has just begun to come, and go, with the connection."""
    async with plain_channel(server.process.address("admin")) as channel:
        stub = AdapterAdminStub(channel)
        stream = stub.WatchBatches(adapter_admin_pb2.WatchBatchesRequest())
        await stream.read()  # type: ignore[attr-defined]
        stream.cancel()


async def test_streams_that_are_left_end_no_process(forks: Forks, folders: tuple[Path, Path], tmp_path: Path) -> None:
    async with pressed(forks, folders, tmp_path / "log", FAULTS_FORWARD_SECONDS="0") as server:
        over = asyncio.Event()

        async def ask() -> None:
            while not over.is_set():
                assert "OK" == await server.classify()

        asking = asyncio.create_task(ask())
        for _ in range(_NUM_STREAMS // _NUM_AT_ONCE):
            await asyncio.gather(*(_leave(server) for _ in range(_NUM_AT_ONCE)))
        over.set()
        await asking

        assert "OK" == await server.classify()
        async with asyncio.timeout(10):
            while (lines := _audited(server)) < _NUM_STREAMS:  # noqa: ASYNC110 - it is in another process
                await asyncio.sleep(_POLL_SECONDS)
        assert _NUM_STREAMS == lines


def _audited(server: Pressed) -> int:
    return sum(line.get("rpc") == "WatchBatches" for line in server.process.lines())
