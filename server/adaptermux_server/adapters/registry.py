"""The adapters by id and the aliases by name: who serves, who is being changed, who is in use.

Owned by the event loop. No method awaits, so each is one step that nobody can observe half done, and every step that
changes what listings show is told to the feed within it.
"""

import random
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from difflib import get_close_matches

from adaptermux_server.adapters.aliases import Alias, AliasTable
from adaptermux_server.adapters.entry import AdapterEntry
from adaptermux_server.adapters.feed import ChangeFeed, EventKind
from adaptermux_server.adapters.ids import check_adapter_id, parse_reference
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.served import ServedAdapter, ServingOptions
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasedError,
    ConcurrentChangeError,
    InvalidRequestError,
)
from adaptermux_server.types import AdapterState

_MAX_NEIGHBOURS = 32
_SHOWN_REVISION_CHARACTERS = 12


class AdapterRegistry:
    """Leases for requests, pictures for listings and watchers, and the steps of changes for the lifecycle."""

    def __init__(
        self,
        default_max_wait_seconds: float,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`clock`: seconds since the epoch. `draw`: uniform in [0, 1), for aliases with several targets."""
        self.clock = clock
        self._default_max_wait_seconds = default_max_wait_seconds
        self._draw = draw
        self._entries: dict[str, AdapterEntry] = {}
        self._aliases = AliasTable()
        self.feed: ChangeFeed[AdapterRecord | Alias] = ChangeFeed(self._all_there_is)

    def lease(
        self, reference: str, request_key: str = "", field: str = "adapter"
    ) -> AbstractContextManager[ServedAdapter]:
        """Hold the revision that serves `reference` until the context ends.

        Args:
            reference: `id`, `id@` and 8 to 64 hex digits of a revision that serves or served, or an alias.
            request_key: requests of equal keys get the same target of an alias; empty: any.
            field: names `reference` in errors.

        Raises:
            InvalidRequestError: for `field`, where the reference is malformed, or fits several revisions.
            AdapterNotFoundError: nothing of this id, or no such revision, is loaded.
            AdapterNotReadyError: the id is LOADING, DRAINING or FAILED.
        """
        return self._resolve(reference, request_key, field).lease()

    def get(self, adapter_id: str) -> AdapterRecord:
        """Describe one adapter. Raises InvalidRequestError for a malformed id, or AdapterNotFoundError."""
        check_adapter_id(adapter_id, "adapter_id")
        return self.record(self.entry(adapter_id))

    def list(self) -> Sequence[AdapterRecord]:
        """Describe all adapters, sorted by id."""
        return [self.record(entry) for _, entry in sorted(self._entries.items())]

    def serves(self, served: ServedAdapter) -> bool:
        """Whether a revision is the one that its id serves now."""
        entry = self._entries.get(served.id)
        return entry is not None and entry.state is AdapterState.READY and entry.current is served

    def entries(self) -> Sequence[AdapterEntry]:
        """All adapters, in no order."""
        return tuple(self._entries.values())

    def ids_by_slot(self) -> dict[int, str]:
        """The ids of all revisions that sit in a slot."""
        return {
            served.slot: entry.id
            for entry in self._entries.values()
            for served in entry.revisions
            if served.slot is not None
        }

    def record(self, entry: AdapterEntry, state: AdapterState | None = None) -> AdapterRecord:
        """Describe `entry` as it is, or as if it were in `state`."""
        return entry.record(self.max_wait_seconds(entry.options), state)

    def max_wait_seconds(self, options: ServingOptions) -> float:
        """What holds where the options may leave it to the server."""
        return self._default_max_wait_seconds if options.max_wait_seconds is None else options.max_wait_seconds

    def entry(self, adapter_id: str) -> AdapterEntry:
        """What is held for an id. Raises AdapterNotFoundError."""
        entry = self._entries.get(adapter_id)
        if entry is None:
            raise AdapterNotFoundError(adapter_id, self._similar(adapter_id))
        return entry

    def begin_load(self, adapter_id: str, uri: str, options: ServingOptions) -> AdapterEntry:
        """Claim an id for a load, until `end_change`; an id without a revision becomes LOADING.

        Raises ConcurrentChangeError, or InvalidRequestError where an alias has this name.
        """
        if adapter_id in self._aliases:
            raise InvalidRequestError(("adapter_id", f"{adapter_id!r} is an alias: choose another id, or delete it"))
        entry = self._entries.get(adapter_id)
        if entry is None:
            entry = self._entries[adapter_id] = AdapterEntry(adapter_id, uri, options)
        _claim(entry)
        if entry.current is None:
            entry.uri, entry.options, entry.state = uri, options, AdapterState.LOADING
        entry.digest, entry.error = "", None
        self._tell(entry)
        return entry

    def note_digest(self, entry: AdapterEntry, digest: str) -> None:
        """Note what the load under way reads, in case that it fails later."""
        entry.digest = digest

    def publish(
        self, entry: AdapterEntry, served: ServedAdapter, earlier: Sequence[ServedAdapter]
    ) -> Sequence[ServedAdapter]:
        """Move the id to a revision, in one step. `earlier`: what may still be named, newest first.

        Returns those that needn't stay in memory.
        """
        before = entry.revisions
        entry.current, entry.earlier = served, list(earlier)
        entry.retiring = [it for it in before if it not in entry.earlier]
        entry.state = AdapterState.READY
        self.set_options(entry, served.options)
        return before

    def set_options(self, entry: AdapterEntry, options: ServingOptions) -> None:
        """Change how an adapter is served. What served before is never kept in the engine for its own sake."""
        entry.options = options
        unpinned = ServingOptions(options.weight, options.max_wait_seconds)
        for served in entry.revisions:
            served.options = options if served is entry.current else unpinned
        self._tell(entry)

    def keep(self, entry: AdapterEntry, error: Exception) -> None:
        """Note that a load has failed: what served serves on; FAILED where there is nothing that could."""
        entry.error = error
        if entry.current is None:
            entry.state = AdapterState.FAILED
        self._tell(entry)

    def fail(self, served: ServedAdapter, error: Exception) -> None:
        """Note that a revision can't be brought up any more: it serves no longer, under whichever id names it."""
        entry = self._entries.get(served.id)
        if entry is None or served not in entry.revisions:
            return
        entry.retiring.append(served)
        if served is entry.current:
            entry.current, entry.state = None, AdapterState.FAILED
            entry.uri, entry.digest = served.uri, served.revision
        else:
            entry.earlier = [it for it in entry.earlier if it is not served]
        entry.error = error
        self._tell(entry)

    def begin_change(self, adapter_id: str) -> AdapterEntry:
        """Claim an id that serves, until `end_change`.

        Raises AdapterNotFoundError, AdapterNotReadyError or ConcurrentChangeError.
        """
        entry = self.entry(adapter_id)
        if entry.state is not AdapterState.READY:
            raise AdapterNotReadyError(adapter_id, entry.state)
        _claim(entry)
        return entry

    def begin_unload(self, adapter_id: str, *, for_good: bool = False) -> AdapterEntry:
        """Claim an id for an unload, until `end_change`; it takes no new leases from now on.

        Raises AdapterNotFoundError, ConcurrentChangeError, or, if it is `for_good`, AliasedError.
        """
        entry = self.entry(adapter_id)
        if for_good and (names := self._aliases.pointing_at(adapter_id)):
            raise AliasedError(adapter_id, names)
        _claim(entry)
        if entry.current is not None:
            entry.state = AdapterState.DRAINING
        self._tell(entry)
        return entry

    def end_change(self, entry: AdapterEntry) -> None:
        """Let another change begin."""
        entry.changing = False

    def release(self, served: ServedAdapter) -> None:
        """Note that a revision that may not be named any more has left memory."""
        entry = self._entries.get(served.id)
        if entry is not None and served in entry.retiring:
            entry.retiring.remove(served)

    def forget(self, entry: AdapterEntry) -> None:
        """Drop an id."""
        del self._entries[entry.id]
        self.feed.publish(EventKind.ADAPTER, entry.id, None)

    @contextmanager
    def coming_alias(self, alias: Alias) -> Iterator[Alias]:
        """Check an alias, and keep what it relies on until it is set; gives it with whole revisions. One at a time.

        Raises InvalidRequestError where an adapter has its name; and what a request for one of its targets would get.
        """
        if alias.name in self._entries:
            raise InvalidRequestError(("alias.name", f"{alias.name!r} is an adapter: choose another name"))
        with self._aliases.coming(alias):
            targets = enumerate(target.adapter for target in alias.targets)
            named = [self._named(reference, f"alias.targets[{index}].adapter") for index, reference in targets]
            yield alias.with_whole_revisions([served.revision for served in named])

    def set_alias(self, alias: Alias) -> None:
        """Make or move an alias. Raises InvalidRequestError where it would point at another."""
        self._aliases.set(alias)
        self.feed.publish(EventKind.ALIAS, alias.name, alias)

    def delete_alias(self, name: str) -> Alias:
        """Remove an alias; returns it as it was. Raises AliasNotFoundError."""
        alias = self._aliases.delete(name)
        self.feed.publish(EventKind.ALIAS, name, None)
        return alias

    def alias(self, name: str) -> Alias:
        """An alias by name. Raises AliasNotFoundError."""
        return self._aliases.get(name)

    def aliases(self) -> Sequence[Alias]:
        """All aliases, sorted by name."""
        return self._aliases.list()

    def _resolve(self, reference: str, request_key: str, field: str) -> ServedAdapter:
        target = self._aliases.resolve(reference, request_key, self._draw)
        return self._named(target or reference, field)

    def _named(self, reference: str, field: str) -> ServedAdapter:
        wanted = parse_reference(reference, field)
        entry = self.entry(wanted.id)
        if entry.state is not AdapterState.READY or entry.current is None:
            raise AdapterNotReadyError(wanted.id, entry.state)
        found = entry.find(wanted.revision_prefix) if wanted.revision_prefix else [entry.current]
        if not found:
            named = (served.revision[:_SHOWN_REVISION_CHARACTERS] for served in (entry.current, *entry.earlier))
            raise AdapterNotFoundError(reference, [f"{wanted.id}@{revision}" for revision in named])
        if len(found) > 1:
            raise InvalidRequestError((field, f"{reference!r} fits several revisions: give more digits"))
        return found[0]

    def _tell(self, entry: AdapterEntry) -> None:
        """Tell watchers how an adapter is now, unless they know.

        Moves between tiers alone aren't told: with many adapters they would be most of the log, and push the rest out.
        """
        record = self.record(entry)
        shown = replace(record, tier=None, last_used_time=None, num_rows_answered=0, num_in_flight=0)
        if shown != entry.told:
            entry.told = shown
            self.feed.publish(EventKind.ADAPTER, entry.id, record)

    def _all_there_is(self) -> Iterator[tuple[EventKind, str, AdapterRecord | Alias]]:
        for record in self.list():
            yield EventKind.ADAPTER, record.id, record
        for alias in self.aliases():
            yield EventKind.ALIAS, alias.name, alias

    def _similar(self, adapter_id: str) -> Sequence[str]:
        # Comparing costs up to 0.1 ms an id and holds the event loop: only the neighbours in order are looked at.
        ids = sorted(self._entries)
        place = bisect(ids, adapter_id)
        return get_close_matches(adapter_id, ids[max(0, place - _MAX_NEIGHBOURS) : place + _MAX_NEIGHBOURS])


def _claim(entry: AdapterEntry) -> None:
    if entry.changing:
        raise ConcurrentChangeError(entry.id)
    entry.changing = True
