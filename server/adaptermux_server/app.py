"""The server as a whole: built in order, closed in reverse; a failing close doesn't stop the rest."""

import asyncio
import gc
import signal
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.config_fields import METHODS
from adaptermux_server.adapters.control import ControlPlane, build_control_plane
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.starting import load_at_start
from adaptermux_server.adapters.store.failures import StoreOpenError
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.config import ServerSettings
from adaptermux_server.engine.engine import Engine, EngineSettings, open_engine
from adaptermux_server.engine.fingerprint import fingerprint
from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.observing import LIBRARY_VERSIONS, MetricsAddressError, picture, serve_metrics
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.tasks.service import InferenceService
from adaptermux_server.tasks.tokenizing import Tokenizing
from adaptermux_server.transport.admin import AdapterAdminServicer
from adaptermux_server.transport.infer import InferServicer
from adaptermux_server.transport.listeners import Listener, Security, admin_listener, data_listener
from adaptermux_server.transport.secured import connection_limits, securities
from adaptermux_server.transport.security.access import access_to
from adaptermux_server.transport.security.files import SecurityFileError
from adaptermux_server.types import ModelInfo

# Streams and answers that are being sent when the queue has drained already.
_LAST_WORDS_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class StartError(Exception):
    """The server can't start as it is configured."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls."""

    data_address: str
    admin_address: str


async def serve_until_signal(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted and return."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings):
        # What is there now stays. The collector would else walk over all of it again and again: 190 ms each time.
        gc.freeze()
        await stop.wait()
        _log.info("stopping")
    _log.info("stopped")


@asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[RunningServer]:
    """Run a server: it is healthy, with its first adapters loaded, inside the context.

    At the end health turns NOT_SERVING first, new requests are UNAVAILABLE, queued ones finish within `drain_seconds`.
    Raises StartError for settings or the base model, AdapterMuxError for an adapter, ListenError for an address.
    """
    start_time = time.time()
    async with AsyncExitStack() as stack:
        data_security, admin_security = await _securities(settings, stack)
        engine = await _engine(settings, stack)
        scheduler = Scheduler(engine.run, _scheduler_settings(settings))
        await scheduler.start()
        stack.push_async_callback(scheduler.close)
        control = await _control_plane(settings, engine, scheduler, stack)
        try:
            rpc_metrics = serve_metrics(settings.metrics_address, control, scheduler, engine, stack)
        except MetricsAddressError as error:
            raise StartError(str(error)) from error
        model = _model_info(settings, engine)
        tokenizing = Tokenizing(engine.backbone.tokenizer, model.max_tokens)
        service = InferenceService(
            control.registry,
            control.tiers,
            queue=scheduler,
            tokenizing=tokenizing,
            pool=_text_pool(settings, stack),
        )
        infer = InferServicer(
            service, model, rpc_metrics, settings.max_concurrent_streamed_requests, access_to(control.registry)
        )
        admin = AdapterAdminServicer(
            control, scheduler, lambda: picture(start_time, control, scheduler, engine), rpc_metrics
        )
        listeners = _listeners(settings, infer, admin, data_security=data_security, admin_security=admin_security)
        stack.push_async_callback(_stop, listeners)
        # Before anybody can ask for a change: what was registered comes first.
        await control.restoring.run()
        addresses = [await listener.start() for listener in listeners]
        await control.restoring.bring_up_pinned()
        await load_at_start(control, {id_: settings.resolved(folder) for id_, folder in settings.adapters.items()})
        control.upkeep.start()
        stack.push_async_callback(_drain, listeners, control, scheduler, settings.drain_seconds)
        for listener in listeners:
            await listener.set_serving(True)
        _log.info("serving", model=settings.shown_model_id, seconds=round(time.time() - start_time, 1))
        yield RunningServer(*addresses)


async def _securities(settings: ServerSettings, stack: AsyncExitStack) -> tuple[Security, Security]:
    try:
        data, admin = securities(settings)
    except SecurityFileError as error:
        raise StartError(str(error)) from error
    if data.tokens is not None:
        await stack.enter_async_context(data.tokens.watched())
    return data, admin


async def _engine(settings: ServerSettings, stack: AsyncExitStack) -> Engine:
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


def _model_info(settings: ServerSettings, engine: Engine) -> ModelInfo:
    return ModelInfo(model_id=settings.shown_model_id, peft_types=tuple(METHODS), **asdict(engine.backbone.facts))


def _scheduler_settings(settings: ServerSettings) -> SchedulerSettings:
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


async def _control_plane(
    settings: ServerSettings, engine: Engine, scheduler: Scheduler, stack: AsyncExitStack
) -> ControlPlane:
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


def _text_pool(settings: ServerSettings, stack: AsyncExitStack) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(settings.num_text_workers, thread_name_prefix="text")
    stack.callback(pool.shutdown)
    return pool


def _listeners(
    settings: ServerSettings,
    infer: InferServicer,
    admin: AdapterAdminServicer,
    *,
    data_security: Security,
    admin_security: Security,
) -> tuple[Listener, Listener]:
    limits = {"max_message_bytes": settings.max_message_bytes, "max_pending_rpcs": settings.max_pending_rpcs}
    connections = connection_limits(settings)
    return (
        data_listener(infer, settings.address, **limits, connections=connections, security=data_security),
        admin_listener(admin, settings.admin_address, **limits, connections=connections, security=admin_security),
    )


async def _stop(listeners: tuple[Listener, ...]) -> None:
    # Together: a client that holds a stream open on each would else be waited for twice.
    await asyncio.gather(*(listener.stop(_LAST_WORDS_SECONDS) for listener in listeners))


async def _drain(
    listeners: tuple[Listener, ...], control: ControlPlane, scheduler: Scheduler, timeout_seconds: float
) -> None:
    for listener in listeners:
        await listener.set_serving(False)
    # Streams that would never end by themselves, or only when their clients are done.
    control.registry.feed.close()
    scheduler.recorder.close()
    await control.uploads.close()
    await scheduler.drain(timeout_seconds)
