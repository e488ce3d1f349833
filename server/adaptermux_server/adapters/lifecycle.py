"""Loading, changing and unloading while traffic flows: the order of the steps, and what is true after each may fail.

A change, once begun, runs to its end as a task of its own, also if the call that asked for it is cancelled: no call
can leave an adapter half loaded. Steps that can fail come first, the durable one last of them; the one that moves an id
can't fail, and doesn't await.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import ExitStack

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.adapters.entry import AdapterEntry
from adaptermux_server.adapters.hosts import PreparedAdapter, QueueHost
from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.loader import Loader
from adaptermux_server.adapters.options import LoadOptions, OptionsChange
from adaptermux_server.adapters.origin import Origin
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.retirement import Retirement
from adaptermux_server.adapters.served import RevisionKey, ServedAdapter, ServingOptions
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredServing
from adaptermux_server.adapters.tasks import Tasks
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import (
    AdapterMuxError,
    AdapterNotReadyError,
    AdapterUnloadedError,
    InvalidRequestError,
    ShuttingDownError,
)
from adaptermux_server.metrics import ChangeMetrics
from adaptermux_server.tracing.calls import phase
from adaptermux_server.types import AdapterSpec, AdapterState

DEFAULT_DRAIN_SECONDS = 30.0
MAX_DRAIN_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class Lifecycle:
    """Changes what the registry serves. One change at a time for each id; different ids change side by side."""

    def __init__(
        self,
        registry: AdapterRegistry,
        tiers: Tiers,
        *,
        queue_host: QueueHost,
        catalog: Catalog,
        loader: Loader,
        origin: Origin,
        base: str,
        metrics: ChangeMetrics,
    ) -> None:
        """`base`: fingerprint of what specs depend on, see `StoredAdapter`."""
        self._registry, self._tiers, self._queue_host = registry, tiers, queue_host
        self._catalog, self._loader, self._origin = catalog, loader, origin
        self._base, self._metrics = base, metrics
        self._tasks = Tasks()
        self._retirement = Retirement(registry, tiers, self._tasks)

    async def load(self, options: LoadOptions) -> AdapterRecord:
        """Load a revision and move the id to it; or what else `options` say.

        Repeatable: content that the id already serves, with the same labels and problem type, only updates the options.
        After a failure everything serves as before; an id that nothing served is FAILED.

        Returns the adapter as it is then: READY; LOADING if it returns immediately; UNLOADED if it only validates.

        Raises:
            InvalidRequestError, SourceForbiddenError, SourceInvalidError, ConfigUnsupportedError,
            CheckpointMismatchError, RevisionNotFoundError, and what `ModelHost.prepare` raises.
            MemoryFullError: it doesn't fit the engine beside those that are pinned.
            StoreFullError, StoreUnavailableError: it can't be kept.
            ConcurrentChangeError: another change of the id is under way.
            ShuttingDownError: after `close`.
        """
        self._tasks.check_open()
        if options.validate_only:
            return await self._validate(options)
        entry = self._registry.begin_load(options.adapter_id, options.shown_uri, options.serving)
        task = self._tasks.spawn(self._load(entry, options))
        if options.return_immediately:
            return self._registry.record(entry)
        return await self._tasks.outcome(task)

    async def update(self, adapter_id: str, change: OptionsChange) -> AdapterRecord:
        """Change how an adapter is served.

        Raises InvalidRequestError, AdapterNotFoundError, AdapterNotReadyError, ConcurrentChangeError, MemoryFullError,
        StoreFullError, StoreUnavailableError or ShuttingDownError; nothing is changed then.
        """
        self._tasks.check_open()
        check_adapter_id(adapter_id, "adapter.id")
        entry = self._registry.begin_change(adapter_id)
        return await self._tasks.run(self._update(entry, change.applied_to(entry.options)))

    async def unload(
        self,
        adapter_id: str,
        drain_timeout_seconds: float = DEFAULT_DRAIN_SECONDS,
        *,
        force: bool = False,
        delete: bool = False,
    ) -> AdapterRecord:
        """Refuse new requests from now on, wait for those in flight, free the memory and forget the id.

        `force` fails the rows that wait in the queue; a batch that is being computed finishes all the same. `delete`
        removes its contents from the store, those of its earlier revisions too, unless other adapters have them.

        Returns the adapter as it was, in state UNLOADED.

        Raises:
            InvalidRequestError: the id is malformed, or the time isn't within 0 to an hour.
            AdapterNotFoundError: nothing has this id.
            AliasedError: it is to be deleted while aliases point at it.
            ConcurrentChangeError: another change of the id is under way.
            DrainTimeoutError: requests are still in flight; the adapter stays DRAINING until it is unloaded again.
            StoreFullError, StoreUnavailableError: the store can't forget it; it stays DRAINING. (Contents that can't be
            removed afterwards are left to the store's upkeep.)
            ShuttingDownError: after `close`.
        """
        self._tasks.check_open()
        check_adapter_id(adapter_id, "adapter_id")
        if not 0 <= drain_timeout_seconds <= MAX_DRAIN_SECONDS:
            raise InvalidRequestError(("drain_timeout", f"must be from 0 to {MAX_DRAIN_SECONDS:g} s"))
        entry = self._registry.begin_unload(adapter_id, for_good=delete)
        return await self._tasks.run(self._unload(entry, drain_timeout_seconds, force, delete))

    async def close(self) -> None:
        """Take no more changes and end those under way; a load that isn't READY yet fails."""
        await self._tasks.close()

    async def _validate(self, options: LoadOptions) -> AdapterRecord:
        async with self._origin.open(options) as folder, self._loader.reading(folder, options.revision) as checkpoint:
            prepared = await self._loader.prepare(checkpoint, _key(checkpoint, options))
        return AdapterRecord(
            id=options.adapter_id,
            state=AdapterState.UNLOADED,
            uri=options.uri,
            revision=checkpoint.digest,
            spec=prepared.spec,
            weight=options.weight,
            max_wait_seconds=self._registry.max_wait_seconds(options.serving),
            pinned=options.pinned,
            metadata=options.metadata,
        )

    async def _load(self, entry: AdapterEntry, options: LoadOptions) -> AdapterRecord:
        try:
            with self._metrics.load(lambda: entry.current):
                await self._read_and_serve(entry, options)
        except asyncio.CancelledError:
            # Only `close` cancels this task.
            self._registry.keep(entry, ShuttingDownError())
            raise
        except Exception as error:
            self._registry.keep(entry, error)
            raise
        finally:
            self._registry.end_change(entry)
        return self._registry.record(entry)

    async def _read_and_serve(self, entry: AdapterEntry, options: LoadOptions) -> None:
        self._registry.note_digest(entry, options.revision)
        with ExitStack() as kept:
            async with self._origin.open(options) as folder:
                async with self._loader.reading(folder, options.revision) as checkpoint:
                    self._registry.note_digest(entry, checkpoint.digest)
                    key = _key(checkpoint, options)
                    prepared = None if _serves(entry, key) else await self._loader.prepare(checkpoint, key)
                if prepared is not None:
                    kept.enter_context(self._catalog.keeping(key.digest))
                    with phase("store"):
                        await self._catalog.add_folder(folder, key.digest)
            # What was fetched is gone by now: nothing that could fail or wait comes after the id has moved.
            if prepared is None:
                await self._change(entry, options.serving)
            else:
                await self._serve(entry, options, key, prepared)

    async def _serve(
        self, entry: AdapterEntry, options: LoadOptions, key: RevisionKey, prepared: PreparedAdapter
    ) -> None:
        served = self._served(options.adapter_id, key, prepared.spec, options.shown_uri, options.serving)
        await self._tiers.admit(served, prepared)
        try:
            async with self._catalog.order:
                earlier = await self._catalog.put_adapter(self._stored(served))
                before = self._registry.publish(entry, served, self._earlier(entry, earlier))
        except BaseException:
            await self._tiers.drop(served)
            raise
        for revision in before:
            self._retirement.begin(revision)

    def _earlier(self, entry: AdapterEntry, stored: Sequence[StoredServing]) -> list[ServedAdapter]:
        """What served before, as the registry has it, or as the store alone remembers it."""
        known = {served.revision: served for served in entry.find("")}
        found = (known.get(serving.digest) or self.revive(entry.id, serving) for serving in stored)
        return [served for served in found if served is not None]

    def revive(
        self, adapter_id: str, serving: StoredServing, uri: str = "", options: ServingOptions | None = None
    ) -> ServedAdapter | None:
        """A revision that only the store has; None: its content is damaged or gone, or nothing is known of it."""
        if serving.spec is None or not self._catalog.has(serving.digest):
            return None
        key = RevisionKey(serving.digest, serving.labels, serving.problem_type)
        return self._served(adapter_id, key, serving.spec, uri, options or ServingOptions())

    def _served(
        self, adapter_id: str, key: RevisionKey, spec: AdapterSpec, uri: str, options: ServingOptions
    ) -> ServedAdapter:
        return ServedAdapter(adapter_id, key, spec, uri, options, clock=self._registry.clock)

    async def _update(self, entry: AdapterEntry, options: ServingOptions) -> AdapterRecord:
        try:
            await self._change(entry, options)
        finally:
            self._registry.end_change(entry)
        return self._registry.record(entry)

    async def _change(self, entry: AdapterEntry, options: ServingOptions) -> None:
        """Give an adapter that serves other options."""
        served = entry.current
        if served is None:
            # Since the claim it was asked for, and couldn't be brought up.
            raise AdapterNotReadyError(entry.id, entry.state)
        async with self._tiers.holding([served] if options.pinned else [], asked=False):
            await self._catalog.put_adapter(self._stored(served, options))
            self._registry.set_options(entry, options)
        for revision in entry.revisions:
            self._tiers.configure(revision)

    async def _unload(
        self, entry: AdapterEntry, drain_timeout_seconds: float, force: bool, delete: bool
    ) -> AdapterRecord:
        try:
            if force:
                self._fail_waiting(entry.revisions)
            digests = {served.revision for served in entry.revisions}
            await self._retirement.drain(entry, drain_timeout_seconds)
            record = self._registry.record(entry, AdapterState.UNLOADED)
            digests.update(await self._catalog.delete_adapter(entry.id))
            self._registry.forget(entry)
        finally:
            self._registry.end_change(entry)
        if delete:
            await self._collect(sorted(digests))
        return record

    async def _collect(self, digests: Sequence[str]) -> None:
        try:
            await self._catalog.collect(digests)
        except AdapterMuxError as error:
            # The adapter is gone all the same: the caller has nothing to repeat.
            _log.warning("contents of a deleted adapter stay in the store for now: %s", error)

    def _fail_waiting(self, revisions: Sequence[ServedAdapter]) -> None:
        for served in revisions:
            if served.slot is not None:
                self._queue_host.fail_slot(served.slot, AdapterUnloadedError(served.id))

    def _stored(self, served: ServedAdapter, options: ServingOptions | None = None) -> StoredAdapter:
        options = options or served.options
        return StoredAdapter(
            id=served.id,
            digest=served.revision,
            labels=served.key.labels,
            problem_type=served.key.problem_type,
            weight=options.weight,
            max_wait_seconds=options.max_wait_seconds,
            pinned=options.pinned,
            metadata=options.metadata,
            uri=served.uri,
            changed_at=self._registry.clock(),
            spec=served.spec,
            base=self._base,
        )


def _key(checkpoint: Checkpoint, options: LoadOptions) -> RevisionKey:
    return RevisionKey(
        checkpoint.digest, options.labels or checkpoint.labels or (), options.problem_type or checkpoint.problem_type
    )


def _serves(entry: AdapterEntry, key: RevisionKey) -> bool:
    return entry.current is not None and entry.state is AdapterState.READY and entry.current.key == key
