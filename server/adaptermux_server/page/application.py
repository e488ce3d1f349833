"""What is served at which path."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from adaptermux_server.page.events import EventLog, EventsHandler
from adaptermux_server.page.guard import add_headers, refuse_strangers
from adaptermux_server.page.status import StatusHandler, StatusSources
from adaptermux_server.scheduler.recorder import BatchRecorder

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class LiveSources:
    """What the live page shows."""

    status: StatusSources
    recorder: BatchRecorder


def build_application(
    registry: CollectorRegistry, is_ready: Callable[[], bool], live: LiveSources | None
) -> web.Application:
    """The application; it is to run in the event loop that owns what it reads.

    Args:
        registry: is collected in the event loop: its collectors may read what the loop owns, and must not wait for it.
        is_ready: whether health says SERVING.
        live: None: there is no page.
    """
    application = web.Application(middlewares=[refuse_strangers])
    application.on_response_prepare.append(add_headers)
    application.router.add_get("/metrics", make_aiohttp_handler(registry))
    application.router.add_get("/healthz", _healthz)
    application.router.add_get("/readyz", _readyz(is_ready))
    if live is not None:
        _add_page(application, live)
    return application


def _add_page(application: web.Application, live: LiveSources) -> None:
    log = EventLog(live.recorder)
    application.router.add_get("/", _index)
    application.router.add_static("/assets", _STATIC)
    application.router.add_get("/api/status", StatusHandler(live.status).handle)
    application.router.add_get("/api/events", EventsHandler(log).handle, allow_head=False)

    async def end_events(_: web.Application) -> None:
        await log.close()

    application.on_shutdown.append(end_events)


async def _index(_: web.Request) -> web.FileResponse:
    return web.FileResponse(_STATIC / "index.html")


async def _healthz(_: web.Request) -> web.Response:
    """That the event loop answers at all is the answer."""
    return web.Response(text="alive\n")


def _readyz(is_ready: Callable[[], bool]) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if is_ready() else web.Response(status=503, text="not ready\n")

    return readyz
