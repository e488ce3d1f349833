"""What operators see of a running server: its picture for GetServerStatus, metrics, and what the live page shows."""

from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version

import psutil
from prometheus_client import CollectorRegistry

from adaptermux_server.adapters.control import ControlPlane
from adaptermux_server.engine.engine import Engine
from adaptermux_server.metrics import (
    Figures,
    GatewayFigures,
    RpcMetrics,
    TierFigures,
    assemble,
)
from adaptermux_server.metrics.per_adapter import DEFAULT_MAX_ADAPTERS
from adaptermux_server.page.application import LiveSources
from adaptermux_server.page.status import StatusSources
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.transport.admin_convert import ServerPicture
from adaptermux_server.types import AdapterState, ModelInfo, Tier

_LIBRARIES = ("grpcio", "peft", "protobuf", "tokenizers", "torch", "transformers")
LIBRARY_VERSIONS: Mapping[str, str] = {name: version(name) for name in _LIBRARIES}
"""Of those that matter for answers."""


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


def build_registry(
    control: ControlPlane,
    scheduler: Scheduler,
    engine: Engine,
    *,
    max_adapters: int = DEFAULT_MAX_ADAPTERS,
    is_stalled: Callable[[], bool] | None = None,
    num_text_characters: Callable[[], int] | None = None,
) -> tuple[CollectorRegistry, RpcMetrics]:
    """Collect metrics from now on.

    Args:
        control: knows where adapters are.
        scheduler: knows rows and forwards.
        engine: knows its memory.
        max_adapters: how many have series of their own; see `metrics.per_adapter`.
        is_stalled: whether the engine's command takes too long; None: nobody watches.
        num_text_characters: of texts that wait to be tokenised; None: nobody counts.

    Returns the registry, and what counts calls. Scrape it in the thread of the event loop, which owns what it reads.
    """
    figures = Figures(
        scheduler=scheduler.status,
        tiers=lambda: _tier_figures(control, engine),
        gateway=lambda: _gateway_figures(control),
        is_stalled=is_stalled,
        num_text_characters=num_text_characters,
    )
    instruments = assemble(figures, control.metrics, max_adapters=max_adapters)
    scheduler.recorder.observers.append(instruments.observe_forward)
    return instruments.registry, instruments.rpcs


def live_sources(
    model: ModelInfo, read_picture: Callable[[], ServerPicture], control: ControlPlane, scheduler: Scheduler
) -> LiveSources:
    """What the live page shows."""
    return LiveSources(StatusSources(model, read_picture, control.registry.list), scheduler.recorder)


def _tier_figures(control: ControlPlane, engine: Engine) -> TierFigures:
    by_tier = Counter(entry.current.tier for entry in control.registry.entries() if entry.current is not None)
    tiers = control.tiers
    return TierFigures(
        by_tier, tiers.counts, engine.memory().adapter_bytes, tiers.host_bytes, control.catalog.num_bytes
    )


def _gateway_figures(control: ControlPlane) -> GatewayFigures:
    entries = [entry for entry in control.registry.entries() if entry.state is AdapterState.READY]
    serving = [entry.current for entry in entries if entry.current is not None]
    return GatewayFigures(
        running=[served.id for served in serving if served.tier is Tier.DEVICE],
        waiting=[served.id for served in serving if served.num_leases and served.tier is not Tier.DEVICE],
        max_adapters=control.tiers.limits.device_adapters,
    )
