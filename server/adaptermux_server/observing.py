"""What operators see of a running server: its picture for GetServerStatus, and its metrics over HTTP."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TypeVar

import psutil
from prometheus_client import CollectorRegistry, start_http_server

from adaptermux_server.adapters.control import ControlPlane
from adaptermux_server.engine.engine import Engine
from adaptermux_server.metrics import RpcMetrics, SchedulerCollector, TierCollector, TierFigures
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.transport.admin_convert import ServerPicture

_LIBRARIES = ("grpcio", "peft", "protobuf", "tokenizers", "torch", "transformers")
LIBRARY_VERSIONS: Mapping[str, str] = {name: version(name) for name in _LIBRARIES}
"""Of those that matter for answers."""

_SCRAPE_SECONDS = 5.0
_Figures = TypeVar("_Figures")


class MetricsAddressError(Exception):
    """Metrics can't be served where they should be."""


def picture(start_time: float, control: ControlPlane, scheduler: Scheduler, engine: Engine) -> ServerPicture:
    """The server at this moment. `start_time`: seconds since the epoch."""
    memory, records = engine.memory(), control.registry.list()
    return ServerPicture(
        version=version("adaptermux"),
        start_time=start_time,
        adapters_by_state=Counter(record.state for record in records),
        adapters_by_tier=Counter(record.tier for record in records if record.tier is not None),
        tier_counts=control.tiers.counts,
        tier_limits=control.tiers.limits,
        adapter_of_slot=control.registry.ids_by_slot(),
        scheduler=scheduler.status(),
        base_bytes=memory.base_bytes,
        adapter_bytes=memory.adapter_bytes,
        host_adapter_bytes=control.tiers.host_bytes,
        store_bytes=control.catalog.num_bytes,
        resident_bytes=psutil.Process().memory_info().rss,
        library_versions=LIBRARY_VERSIONS,
    )


def serve_metrics(
    address: str | None, control: ControlPlane, scheduler: Scheduler, engine: Engine, stack: AsyncExitStack
) -> RpcMetrics:
    """Collect metrics, and serve them until `stack` is closed. `address`: None: nowhere. Raises MetricsAddressError."""
    registry = CollectorRegistry()
    registry.register(SchedulerCollector(_readable_from_any_thread(scheduler.status)))
    registry.register(TierCollector(_readable_from_any_thread(lambda: _tier_figures(control, engine))))
    if address is not None:
        _serve(address, registry, stack)
    return RpcMetrics(registry)


def _serve(address: str, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), addr=host, registry=registry)
    except (OSError, ValueError, OverflowError) as error:
        text = f"can't serve metrics on {address}: is it in use, or not an address?"
        raise MetricsAddressError(text) from error
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


def _readable_from_any_thread(read: Callable[[], _Figures]) -> Callable[[], _Figures]:
    """Scrapes come in threads of their own, and what they read belongs to the event loop."""
    loop = asyncio.get_running_loop()

    async def read_there() -> _Figures:
        return read()

    return lambda: asyncio.run_coroutine_threadsafe(read_there(), loop).result(_SCRAPE_SECONDS)


def _tier_figures(control: ControlPlane, engine: Engine) -> TierFigures:
    by_tier = Counter(entry.current.tier for entry in control.registry.entries() if entry.current is not None)
    tiers = control.tiers
    return TierFigures(
        by_tier, tiers.counts, engine.memory().adapter_bytes, tiers.host_bytes, control.catalog.num_bytes
    )
