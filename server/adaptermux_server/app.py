"""The server as a whole: built in order, closed in reverse; a failing close doesn't stop the rest."""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from adaptermux_server import building
from adaptermux_server.adapters.control import ControlPlane
from adaptermux_server.adapters.starting import load_at_start
from adaptermux_server.building import StartError
from adaptermux_server.config import ServerSettings
from adaptermux_server.observing import build_registry, live_sources, picture
from adaptermux_server.page.application import build_application
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.tasks.service import InferenceService
from adaptermux_server.tasks.text_room import TextRoom
from adaptermux_server.tasks.tokenizing import Tokenizing
from adaptermux_server.transport.admin import AdapterAdminServicer
from adaptermux_server.transport.infer import InferServicer
from adaptermux_server.transport.listeners import Listener
from adaptermux_server.transport.security.access import access_to
from adaptermux_server.transport.serving import Serving
from adaptermux_server.watchdog import Watchdog

__all__ = ["RunningServer", "StartError", "running", "serve_until_signal"]

# Streams and answers that are being sent when the queue has drained already.
_LAST_WORDS_SECONDS = 5.0
# What closes after the drain, and a forward that is under way, have so long; whatever takes longer hangs.
_CLOSE_SECONDS = 10.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls."""

    data_address: str
    admin_address: str
    metrics_address: str | None
    """None: metrics aren't served."""


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
        _end_by_force_after(settings.drain_seconds + _CLOSE_SECONDS)
    _log.info("stopped")


def _end_by_force_after(seconds: float) -> None:
    """No thread can be ended from outside: one that hangs would keep the process for ever."""
    timer = threading.Timer(seconds, _end_by_force)
    timer.daemon = True
    timer.start()


def _end_by_force() -> None:
    _log.error("the server doesn't come to its end, and is ended by force")
    sys.stderr.flush()
    os._exit(1)


@asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[RunningServer]:
    """Run a server: it is healthy, with its first adapters loaded, inside the context.

    At the end health turns NOT_SERVING first, new requests are UNAVAILABLE, queued ones finish within `drain_seconds`.
    Raises StartError for settings or the base model, AdapterMuxError for an adapter, ListenError for an address.
    """
    start_time = time.time()
    async with AsyncExitStack() as stack:
        tracing = building.build_tracing(settings, stack)
        data_security, admin_security = await building.read_securities(settings, stack)
        engine = await building.build_engine(settings, stack)
        watchdog = Watchdog(lambda: engine.command, settings.engine_stall_seconds)
        scheduler = Scheduler(
            engine.run if tracing is None else tracing.forwards.around(engine.run),
            building.scheduler_settings(settings),
        )
        await scheduler.start()
        stack.push_async_callback(scheduler.close)
        control = await building.build_control(settings, engine, scheduler, stack)
        text_room = TextRoom(settings.max_waiting_characters)
        registry, rpc_metrics = build_registry(
            control,
            scheduler,
            engine,
            max_adapters=settings.metrics_max_adapters,
            is_stalled=lambda: watchdog.stalled,
            num_text_characters=lambda: text_room.num_characters,
        )
        model = building.model_info(settings, engine)
        service = InferenceService(
            control.registry,
            control.tiers,
            queue=scheduler,
            tokenizing=Tokenizing(engine.backbone.tokenizer, model.max_tokens),
            pool=building.build_text_pool(settings, stack),
            text_room=text_room,
        )
        infer = InferServicer(
            service, model, rpc_metrics, settings.max_concurrent_streamed_requests, access_to(control.registry)
        )
        read_picture = partial(picture, start_time, control, scheduler, engine)
        admin = AdapterAdminServicer(control, scheduler, read_picture, rpc_metrics)
        listeners = building.build_listeners(
            settings,
            infer,
            admin,
            data_security=data_security,
            admin_security=admin_security,
            tracer=None if tracing is None else tracing.calls,
        )
        serving = Serving(*listeners)
        live = live_sources(model, read_picture, control, scheduler) if settings.live_page else None
        application = build_application(registry, lambda: serving.is_ready, live)
        metrics_address = await building.serve_http(settings.metrics_address, application, stack)
        stack.push_async_callback(_stop, listeners)
        data_address, admin_address = await _come_up(settings, control, listeners)
        stack.push_async_callback(watchdog.close)
        stack.push_async_callback(_drain, serving, control, scheduler, settings.drain_seconds)
        # What comes before, such as loads at the start, may take its time.
        watchdog.start(serving.stall)
        await serving.accept(True)
        _log.info("serving", model=settings.shown_model_id, seconds=round(time.time() - start_time, 1))
        yield RunningServer(data_address, admin_address, metrics_address)


async def _come_up(
    settings: ServerSettings, control: ControlPlane, listeners: tuple[Listener, Listener]
) -> tuple[str, str]:
    """Restore and load what is to serve from the start; gives the listeners' addresses."""
    # Before anybody can ask for a change: what was registered comes first.
    await control.restoring.run()
    data, admin = listeners
    addresses = await data.start(), await admin.start()
    await control.restoring.bring_up_pinned()
    await load_at_start(control, {id_: settings.resolved(folder) for id_, folder in settings.adapters.items()})
    control.upkeep.start()
    return addresses


async def _stop(listeners: tuple[Listener, ...]) -> None:
    # Together: a client that holds a stream open on each would else be waited for twice.
    await asyncio.gather(*(listener.stop(_LAST_WORDS_SECONDS) for listener in listeners))


async def _drain(serving: Serving, control: ControlPlane, scheduler: Scheduler, timeout_seconds: float) -> None:
    await serving.accept(False)
    # Streams that would never end by themselves, or only when their clients are done.
    control.registry.feed.close()
    scheduler.recorder.close()
    await control.uploads.close()
    await scheduler.drain(timeout_seconds)
