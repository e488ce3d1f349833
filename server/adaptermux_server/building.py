"""The server's parts, each made of the settings; what must be closed goes onto the stack that is handed in."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from aiohttp.web import Application
from opentelemetry.trace import Tracer

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.config_fields import METHODS
from adaptermux_server.adapters.control import ControlPlane, build_control_plane
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.store.failures import StoreOpenError
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.config import ServerSettings
from adaptermux_server.engine.engine import Engine, EngineSettings, open_engine
from adaptermux_server.engine.fingerprint import fingerprint
from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.observing import LIBRARY_VERSIONS
from adaptermux_server.page.server import MetricsAddressError, serving_http
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.tracing.wanted import TracingError, is_wanted
from adaptermux_server.transport.admin import AdapterAdminServicer
from adaptermux_server.transport.infer import InferServicer
from adaptermux_server.transport.listeners import Listener, Security, admin_listener, data_listener
from adaptermux_server.transport.secured import connection_limits, securities
from adaptermux_server.transport.security.files import SecurityFileError
from adaptermux_server.types import ModelInfo

if TYPE_CHECKING:
    from adaptermux_server.tracing.tracing import Tracing


class StartError(Exception):
    """The server can't start as it is configured."""


def build_tracing(settings: ServerSettings, stack: AsyncExitStack) -> "Tracing | None":
    """Start to export traces, if somebody wants them. Raises StartError."""
    if not is_wanted(settings.tracing_endpoint):
        return None
    # Imported here: it loads OpenTelemetry's SDK, which most servers do without.
    from adaptermux_server.tracing.tracing import open_tracing  # noqa: PLC0415

    try:
        tracing = open_tracing(settings.tracing_endpoint, settings.tracing_ratio, version("adaptermux"))
    except (TracingError, ValueError) as error:
        raise StartError(str(error)) from error
    # The first to be opened and the last to be closed: whatever ends before it can still be told.
    stack.push_async_callback(tracing.close)
    return tracing


async def read_securities(settings: ServerSettings, stack: AsyncExitStack) -> tuple[Security, Security]:
    """Of the data and of the admin listener; the tokens are followed until the stack is closed. Raises StartError."""
    try:
        data, admin = securities(settings)
    except SecurityFileError as error:
        raise StartError(str(error)) from error
    if data.tokens is not None:
        await stack.enter_async_context(data.tokens.watched())
    return data, admin


async def build_engine(settings: ServerSettings, stack: AsyncExitStack) -> Engine:
    """Load the base model. Raises StartError."""
    engine_settings = EngineSettings(
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        num_threads=settings.num_threads,
        executor=settings.executor,
        adapters_per_tree=settings.adapters_per_tree,
    )
    try:
        engine = await asyncio.to_thread(open_engine, engine_settings)
    except (OSError, ValueError) as error:
        raise StartError(f"can't load the base model {settings.model}: {error}") from error
    stack.push_async_callback(asyncio.to_thread, engine.close)
    return engine


def model_info(settings: ServerSettings, engine: Engine) -> ModelInfo:
    """What clients are told of the base model."""
    return ModelInfo(model_id=settings.shown_model_id, peft_types=tuple(METHODS), **asdict(engine.backbone.facts))


def scheduler_settings(settings: ServerSettings) -> SchedulerSettings:
    """Raises StartError where two settings contradict each other."""
    try:
        return SchedulerSettings(
            max_batch_rows=settings.max_batch_rows,
            max_batch_tokens=settings.max_batch_tokens,
            max_wait_seconds=settings.max_wait_seconds,
            max_queued_rows=settings.max_queued_rows,
            max_queued_rows_per_adapter=settings.max_queued_rows_per_adapter,
        )
    except ValueError as error:
        raise StartError(str(error)) from error


async def build_control(
    settings: ServerSettings, engine: Engine, scheduler: Scheduler, stack: AsyncExitStack
) -> ControlPlane:
    """Open the store and what works on it. Raises StartError."""
    folder = settings.store or Path(stack.enter_context(TemporaryDirectory(prefix="adaptermux-store-")))
    try:
        catalog = Catalog(await asyncio.to_thread(Store, folder))
    except (StoreOpenError, AdapterMuxError) as error:
        raise StartError(f"can't open the store {folder}: {error}") from error
    stack.push_async_callback(asyncio.to_thread, catalog.close)
    try:
        sources = Sources(settings.allowed_roots, catalog.workspace)
    except ValueError as error:
        raise StartError(str(error)) from error
    control = build_control_plane(
        AdapterRegistry(settings.max_wait_seconds),
        engine,
        scheduler,
        catalog,
        sources,
        base=await asyncio.to_thread(
            fingerprint, engine.backbone, settings.executor, *sorted(LIBRARY_VERSIONS.items())
        ),
        tier_limits=TierLimits(
            settings.max_device_adapters, settings.max_device_adapter_bytes, settings.max_host_adapter_bytes
        ),
        keep_unused_seconds=settings.keep_unused_seconds,
    )
    stack.push_async_callback(control.close)
    return control


def build_text_pool(settings: ServerSettings, stack: AsyncExitStack) -> ThreadPoolExecutor:
    """The threads that tokenise and post-process."""
    pool = ThreadPoolExecutor(settings.num_text_workers, thread_name_prefix="text")
    stack.callback(pool.shutdown)
    return pool


def build_listeners(
    settings: ServerSettings,
    infer: InferServicer,
    admin: AdapterAdminServicer,
    *,
    data_security: Security,
    admin_security: Security,
    tracer: Tracer | None,
) -> tuple[Listener, Listener]:
    """The data and the admin listener."""
    options: dict[str, Any] = {
        "max_message_bytes": settings.max_message_bytes,
        "max_pending_rpcs": settings.max_pending_rpcs,
        "connections": connection_limits(settings),
        "tracer": tracer,
    }
    return (
        data_listener(infer, settings.address, **options, security=data_security),
        admin_listener(admin, settings.admin_address, **options, security=admin_security),
    )


async def serve_http(address: str | None, application: Application, stack: AsyncExitStack) -> str | None:
    """Serve metrics and what stands beside them; gives the address with the real port. Raises StartError."""
    if address is None:
        return None
    try:
        return await stack.enter_async_context(serving_http(address, application))
    except MetricsAddressError as error:
        raise StartError(str(error)) from error
