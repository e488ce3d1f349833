"""The control plane as a whole: what changes, keeps and moves adapters, built in one place."""

from dataclasses import dataclass
from typing import Any

from adaptermux_server.adapters.alias_changes import AliasChanges
from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.hosts import ModelHost, QueueHost
from adaptermux_server.adapters.lifecycle import Lifecycle
from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.loader import Loader
from adaptermux_server.adapters.origin import Origin
from adaptermux_server.adapters.recall import Recall
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.restoring import Restoring
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.tiers import TierLimits, Tiers
from adaptermux_server.adapters.upkeep import Upkeep
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.metrics import ChangeMetrics


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The parts that others use. Owned by the event loop."""

    registry: AdapterRegistry
    tiers: Tiers
    lifecycle: Lifecycle
    aliases: AliasChanges
    uploads: Uploads
    catalog: Catalog
    restoring: Restoring
    upkeep: Upkeep
    sources: Sources
    metrics: ChangeMetrics

    async def close(self) -> None:
        """End all changes, uploads and moves; the catalog is left to whoever opened it."""
        self.registry.feed.close()
        self.sources.close()
        await self.upkeep.close()
        await self.uploads.close()
        await self.restoring.close()
        await self.aliases.close()
        await self.lifecycle.close()
        await self.tiers.close()


def build_control_plane(
    registry: AdapterRegistry,
    model_host: ModelHost[Any],
    queue_host: QueueHost,
    catalog: Catalog,
    sources: Sources,
    *,
    base: str,
    tier_limits: TierLimits | None = None,
    limits: CheckpointLimits = DEFAULT_LIMITS,
    keep_unused_seconds: float = 7 * 86400.0,
) -> ControlPlane:
    """Connect the parts.

    Args:
        registry: empty.
        model_host: computes.
        queue_host: feeds it.
        catalog: what was registered before; `ControlPlane.restoring` brings it back.
        sources: where loads may read.
        base: fingerprint of what the specs of adapters depend on: base model, settings, versions.
        tier_limits: how much may be in memory.
        limits: of the files of one adapter.
        keep_unused_seconds: how long a content stays that no adapter has or had.
    """
    loader, metrics = Loader(model_host, limits), ChangeMetrics()
    tiers = Tiers(model_host, queue_host, Recall(registry, catalog, loader), tier_limits)
    lifecycle = Lifecycle(
        registry,
        tiers,
        queue_host=queue_host,
        catalog=catalog,
        loader=loader,
        origin=Origin(catalog, sources),
        base=base,
        metrics=metrics,
    )
    return ControlPlane(
        registry=registry,
        tiers=tiers,
        lifecycle=lifecycle,
        aliases=AliasChanges(registry, catalog),
        uploads=Uploads(catalog, limits, metrics=metrics),
        catalog=catalog,
        restoring=Restoring(registry, tiers, catalog, lifecycle, base, metrics=metrics),
        upkeep=Upkeep(registry, tiers, catalog, keep_unused_seconds),
        sources=sources,
        metrics=metrics,
    )
