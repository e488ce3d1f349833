"""Real listeners around services that do little: what a test needs to call them, and to see what was let through."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.errors import AdapterNotFoundError
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport.border import client_stream, unary
from adaptermux_server.transport.listeners import Listener, admin_listener, data_listener
from adaptermux_server.transport.security.callers import Role, current_caller
from adaptermux_server.transport.security.tokens import entry_of

LIMITS = {"max_message_bytes": 4 << 20, "max_pending_rpcs": 1000}


class Infer(infer_pb2_grpc.InferServicer):
    """Answers GetModel with the caller's name and place (as model and device), and streamed requests with their ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rpc_metrics = RpcMetrics(self.registry)

    @unary
    async def GetModel(self, request, context):
        caller = current_caller.get()
        return infer_pb2.GetModelResponse(model_id=caller.name if caller else "nobody", device=context.peer())

    async def StreamAnalyze(self, requests, context):
        async for request in requests:
            yield infer_pb2.StreamAnalyzeResponse(request_id=request.request_id)


class Admin(adapter_admin_pb2_grpc.AdapterAdminServicer):
    """Finds no adapter, loads any, counts the chunks of uploads, and tells watchers what a test wants."""

    def __init__(self) -> None:
        self.rpc_metrics = RpcMetrics(CollectorRegistry())
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.loading = asyncio.Event()
        self.receiving = asyncio.Event()

    @unary
    async def GetAdapter(self, request, context):
        raise AdapterNotFoundError(request.adapter_id)

    @unary
    async def LoadAdapter(self, request, context):
        if request.adapter_id == "broken":
            raise RuntimeError("of /home/tenant")
        if request.adapter_id == "slow":
            self.loading.set()
            await asyncio.Event().wait()
        return adapter_admin_pb2.LoadAdapterResponse()

    @client_stream
    async def UploadAdapter(self, requests, context):
        size = 0
        async for request in requests:
            size += len(request.chunk)
            self.receiving.set()
        return adapter_admin_pb2.UploadAdapterResponse(revision="0f" * 32, size_bytes=size)

    async def WatchAdapters(self, request, context):
        while True:
            yield adapter_admin_pb2.WatchAdaptersResponse(removed_adapter_id=await self.events.get())


@dataclass(frozen=True)
class Reached:
    """A running listener."""

    address: str
    servicer: Any
    listener: Listener


@asynccontextmanager
async def data(address: str = "127.0.0.1:0", **security: Any) -> AsyncIterator[Reached]:
    """A data listener."""
    servicer = Infer()
    async with _running(data_listener(servicer, address, **LIMITS, **security), servicer) as reached:
        yield reached


@asynccontextmanager
async def admin(address: str = "127.0.0.1:0", **security: Any) -> AsyncIterator[Reached]:
    """An admin listener."""
    servicer = Admin()
    async with _running(admin_listener(servicer, address, **LIMITS, **security), servicer) as reached:
        yield reached


@asynccontextmanager
async def calling(address: str, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel of a connection of its own."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=options)
    else:
        host = address.replace("127.0.0.1", "localhost")
        channel = grpc.aio.secure_channel(host, credentials, options=options)
    async with channel:
        yield channel


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata of a call."""
    return (("authorization", f"Bearer {token}"),)


def write_tokens(path: Path, *entries: tuple[str, str, Role]) -> Path:
    """A file that admits tokens: (token, name, role)."""
    path.write_text("\n".join(entry_of(*entry) for entry in entries) or "tokens = []\n")
    return path


async def outcome(call: Any) -> tuple[str, str]:
    """Code and reason that a call ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, reason_of(error)
    return "OK", ""


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason in the details of a status; empty where it is none of ours."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    return info.reason if status is not None and status.details and status.details[0].Unpack(info) else ""


async def eventually(holds: Callable[[], bool]) -> None:
    """Return once `holds` is true."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a file is looked at by a clock
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _running(listener: Listener, servicer: Any) -> AsyncIterator[Reached]:
    try:
        yield Reached(await listener.start(), servicer, listener)
    finally:
        await listener.stop(0)
