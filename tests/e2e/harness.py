"""A server in this process, whole but for an engine that can be held and tampered with, and raw stubs to call it."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_server import app, building
from adaptermux_server.adapters.control import ControlPlane, build_control_plane
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.config import ServerSettings
from adaptermux_server.engine.backbone import load_backbone
from adaptermux_server.engine.engine import Engine, EngineSettings, assemble
from adaptermux_server.engine.executor import Executor
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import BatchPlan, BatchResult

if TYPE_CHECKING:
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub
    from adaptermux.v1.infer_pb2_grpc import InferAsyncStub

_PATIENCE_SECONDS = 20.0
_POLL_SECONDS = 0.005


class ScriptedExecutor:
    """The server's executor, but that it waits while it is held, and a test may change or refuse the next plans."""

    def __init__(self, inner: Executor) -> None:
        self.tampering: deque[Callable[[BatchPlan], BatchPlan]] = deque()
        """Each is applied to one of the next plans; what it raises, the forward raises."""
        self.num_started = 0
        """Plans that have come so far."""
        self._inner = inner
        self._go = threading.Event()
        self._go.set()

    @property
    def adapter_bytes(self) -> int:
        return self._inner.adapter_bytes

    @contextmanager
    def held(self) -> Iterator[None]:
        """No forward ends (nor any command to the engine begins after it) before the context does."""
        self._go.clear()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """End `held` early."""
        self._go.set()

    def run(self, plan: BatchPlan) -> BatchResult:
        self.num_started += 1
        assert self._go.wait(_PATIENCE_SECONDS), "a test held the engine for too long"
        if self.tampering:
            plan = self.tampering.popleft()(plan)
        return self._inner.run(plan)

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        self._inner.install(slot, prepared)

    def evict(self, slot: int) -> PreparedAdapter | None:
        return self._inner.evict(slot)

    def remove(self, slot: int) -> None:
        self._inner.remove(slot)


@dataclass
class Harness:
    """A running server, its inner parts, and stubs that neither retry nor add metadata."""

    server: app.RunningServer
    executor: ScriptedExecutor
    scheduler: Scheduler
    registry: AdapterRegistry
    plane: ControlPlane
    data: grpc.aio.Channel
    control: grpc.aio.Channel
    infer: "InferAsyncStub" = field(init=False)
    admin: "AdapterAdminAsyncStub" = field(init=False)

    def __post_init__(self) -> None:
        self.infer = cast("InferAsyncStub", InferStub(self.data))
        self.admin = cast("AdapterAdminAsyncStub", AdapterAdminStub(self.control))

    @asynccontextmanager
    async def occupied(self, call: Callable[[], Any]) -> AsyncIterator[None]:
        """The engine is busy with `call` for the time of the context, so that whatever comes waits in the queue."""
        with self.executor.held():
            started = self.executor.num_started
            busy = asyncio.ensure_future(call())
            await eventually(lambda: self.executor.num_started > started)
            yield
        await busy

    async def close(self) -> None:
        """Close the channels."""
        await self.data.close()
        await self.control.close()


async def eventually(holds: Callable[[], bool]) -> None:
    """Return once `holds` is true: for what happens on the other side of a socket, of which no event tells."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL_SECONDS)


def plain_channel(address: str) -> grpc.aio.Channel:
    """A channel of its own connection that never retries."""
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    return grpc.aio.insecure_channel(address, options=options)


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Harness]:
    """Run a server in this loop, on free ports."""
    async with ending_before_its_clients(**settings) as harness:
        yield harness
        await harness.close()


@asynccontextmanager
async def ending_before_its_clients(**settings: Any) -> AsyncIterator[Harness]:
    """As `served`, but the end of the context stops the server alone; the harness is closed after that."""
    async with AsyncExitStack() as stack:
        parts: dict[str, Any] = {}
        with pytest.MonkeyPatch.context() as patch:
            _keep_parts(patch, parts)
            settings = {"address": "127.0.0.1:0", "admin_address": "127.0.0.1:0", **settings}
            server = await stack.enter_async_context(app.running(ServerSettings(**settings)))
        data, control = plain_channel(server.data_address), plain_channel(server.admin_address)
        yield Harness(
            server, parts["executor"], parts["scheduler"], parts["registry"], parts["plane"], data=data, control=control
        )


def _keep_parts(patch: pytest.MonkeyPatch, parts: dict[str, Any]) -> None:
    def open_engine(settings: EngineSettings) -> Engine:
        backbone = load_backbone(settings.model, settings.device, settings.dtype)
        executor, preparer = assemble(backbone, settings)
        parts["executor"] = ScriptedExecutor(executor)
        return Engine(backbone, parts["executor"], preparer, settings.num_threads)

    def keep(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            parts[name] = make(*args, **kwargs)
            return parts[name]

        return made

    patch.setattr(building, "open_engine", open_engine)
    patch.setattr(app, "Scheduler", keep("scheduler", Scheduler))
    patch.setattr(building, "AdapterRegistry", keep("registry", AdapterRegistry))
    patch.setattr(building, "build_control_plane", keep("plane", build_control_plane))
    # An open stream is waited for so long at the end.
    patch.setattr(app, "_LAST_WORDS_SECONDS", 0.5)
