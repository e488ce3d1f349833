"""After a start: what was registered serves again."""

import asyncio
import logging
from collections.abc import Sequence

from adaptermux_server.adapters.aliases import Alias, AliasTarget
from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.entry import AdapterEntry
from adaptermux_server.adapters.lifecycle import Lifecycle
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServingOptions
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredServing
from adaptermux_server.adapters.tasks import Tasks
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import AdapterMuxError, InvalidRequestError, RevisionNotFoundError
from adaptermux_server.metrics import ChangeMetrics, RestoreOutcome

_log = logging.getLogger(__name__)


class Restoring:
    """Brings back adapters and aliases. What is damaged is told and FAILED; the rest serves."""

    def __init__(
        self,
        registry: AdapterRegistry,
        tiers: Tiers,
        catalog: Catalog,
        lifecycle: Lifecycle,
        base: str,
        *,
        metrics: ChangeMetrics,
    ) -> None:
        """`base`: fingerprint of what specs depend on now. `metrics`: are told what became of each adapter."""
        self._registry, self._tiers, self._catalog, self._lifecycle = registry, tiers, catalog, lifecycle
        self._base, self._metrics = base, metrics
        self._tasks = Tasks()
        self._checks: dict[str, asyncio.Task[None]] = {}
        """Loads of those that are checked again, by id."""

    async def run(self) -> None:
        """Register all that there was; before anybody else may change anything.

        An adapter that was loaded on the same base is READY at once, and on the disk until it is asked for. One that
        was loaded on another (or by another version of the server) is checked again first: LOADING until then.
        """
        stored, aliases = await self._catalog.adapters(), await self._catalog.aliases()
        for adapter, earlier in stored:
            if adapter.spec is None or adapter.base != self._base:
                self._metrics.restored(RestoreOutcome.CHECKED)
                self._checks[adapter.id] = self._tasks.spawn(self._check(adapter))
            else:
                self._restore(adapter, earlier)
        # Each check begins, and claims its id.
        await asyncio.sleep(0)
        for alias in aliases:
            self._restore_alias(alias)
        if stored:
            _log.info("%d adapters restored from the store", len(stored))

    async def bring_up_pinned(self) -> None:
        """Return once all that are pinned are in the engine, as far as they can be."""
        for entry in self._registry.entries():
            if entry.options.pinned:
                await self.checked(entry.id)
                await self._bring_up(entry)

    async def checked(self, adapter_id: str) -> None:
        """Return once an adapter isn't being checked again."""
        if task := self._checks.get(adapter_id):
            await asyncio.wait([task])

    async def close(self) -> None:
        """Wait for no check any more."""
        await self._tasks.close()

    async def _check(self, adapter: StoredAdapter) -> None:
        try:
            await self._lifecycle.load(_load_options(adapter))
        except AdapterMuxError as error:
            _log.error("adapter %s can't be restored: %s", adapter.id, error)

    def _restore(self, adapter: StoredAdapter, earlier: Sequence[StoredServing]) -> None:
        options = ServingOptions(adapter.weight, adapter.max_wait_seconds, adapter.pinned, adapter.metadata)
        entry = self._registry.begin_load(adapter.id, adapter.uri, options)
        served = self._lifecycle.revive(adapter.id, adapter.serving, adapter.uri, options)
        if served is None:
            self._fail(entry, adapter.digest)
            return
        revived = (self._lifecycle.revive(adapter.id, serving) for serving in earlier)
        self._registry.publish(entry, served, [it for it in revived if it is not None])
        self._registry.end_change(entry)
        self._metrics.restored(RestoreOutcome.RESTORED)

    def _fail(self, entry: AdapterEntry, digest: str) -> None:
        self._registry.note_digest(entry, digest)
        self._registry.keep(entry, RevisionNotFoundError(digest))
        self._registry.end_change(entry)
        self._metrics.restored(RestoreOutcome.FAILED)
        _log.error("adapter %s can't be restored: its content %s is damaged or gone", entry.id, digest)

    def _restore_alias(self, stored: StoredAlias) -> None:
        try:
            targets = tuple(AliasTarget(adapter, weight) for adapter, weight in stored.targets)
            self._registry.set_alias(Alias(stored.name, targets, stored.update_time))
        except InvalidRequestError as error:
            _log.error("alias %s is dropped: %s", stored.name, error)

    async def _bring_up(self, entry: AdapterEntry) -> None:
        served = entry.current
        if served is None or not self._registry.serves(served):
            return
        try:
            await self._tiers.bring_up(served)
        except AdapterMuxError as error:
            _log.error("pinned adapter %s isn't in the engine: %s", entry.id, error)


def _load_options(adapter: StoredAdapter) -> LoadOptions:
    return LoadOptions(
        adapter_id=adapter.id,
        revision=adapter.digest,
        labels=adapter.labels,
        problem_type=adapter.problem_type,
        weight=adapter.weight,
        max_wait_seconds=adapter.max_wait_seconds,
        pinned=adapter.pinned,
        metadata=adapter.metadata,
        came_from=adapter.uri,
    )
