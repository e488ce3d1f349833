"""Servers as processes of their own, which end when the benchmark does."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

_START_SECONDS = 120.0
_STOP_SECONDS = 20.0
_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A process that serves."""

    pid: int
    addresses: Mapping[str, str]
    """By listener: "data", "admin"."""


@asynccontextmanager
async def server_process(*command: str) -> AsyncIterator[ServerProcess]:
    """Run a server that logs JSON lines to standard error, from when it serves until the end of the context.

    Raises RuntimeError with its last lines if it ends before, TimeoutError if it takes more than two minutes.
    """
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None, "this is a bug: standard error was asked for"
    try:
        async with asyncio.timeout(_START_SECONDS):
            addresses = await _addresses(process.stderr)
        # Read on, or a full pipe would block the server.
        draining = asyncio.create_task(_drain(process.stderr))
        try:
            yield ServerProcess(process.pid, addresses)
        finally:
            draining.cancel()
    finally:
        await _stop(process)


async def _addresses(log: asyncio.StreamReader) -> dict[str, str]:
    addresses, lines = {}, []
    async for line in log:
        lines.append(line.decode())
        fields = _fields(lines[-1])
        if fields.get("event") == "listening":
            addresses[fields["listener"]] = fields["address"]
        if fields.get("event") == "serving":
            return addresses
    raise RuntimeError("the server ended before it served:\n" + "".join(lines[-_SHOWN_LINES:]))


def _fields(line: str) -> dict[str, str]:
    with suppress(ValueError):
        fields = json.loads(line)
        if isinstance(fields, dict):
            return fields
    return {}


async def _drain(log: asyncio.StreamReader) -> None:
    while await log.read(1 << 16):
        pass


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
