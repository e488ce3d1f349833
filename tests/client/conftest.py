"""A fresh fake server for each test, and one way to make a call with either client."""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from adaptermux_client import AdapterMuxClient, AdminClient, AsyncAdapterMuxClient, AsyncAdminClient
from tests.client.command_line import Run, against
from tests.client.fake_server import FakeServer

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    yield fake
    fake.close()


async def _everything(result: Any) -> Any:
    """Await what is awaitable; gather what is iterated."""
    if inspect.isawaitable(result):
        return await result
    if inspect.isasyncgen(result):
        return [each async for each in result]
    return list(result) if inspect.isgenerator(result) else result


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, server: FakeServer) -> Ask:
    """Call a method of the inference client, blocking or asyncio, and await its result."""

    async def call(method: str, *args: Any, client_timeout: float | None = 30.0, **kwargs: Any) -> Any:
        if request.param == "sync":
            with AdapterMuxClient(server.address, timeout=client_timeout) as client:
                return await _everything(getattr(client, method)(*args, **kwargs))
        async with AsyncAdapterMuxClient(server.address, timeout=client_timeout) as client_:
            return await _everything(getattr(client_, method)(*args, **kwargs))

    return call


@pytest.fixture(params=["sync", "async"])
def ask_admin(request: pytest.FixtureRequest, server: FakeServer) -> Ask:
    """Call a method of the administration client, blocking or asyncio, and await its result."""

    async def call(method: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            with AdminClient(server.address) as client:
                return await _everything(getattr(client, method)(*args, **kwargs))
        async with AsyncAdminClient(server.address) as client_:
            return await _everything(getattr(client_, method)(*args, **kwargs))

    return call


@pytest.fixture
def run(server: FakeServer) -> Run:
    """Run a command line against the fake server."""
    return against(server)
