"""The adapters by id: who serves, who is being changed, who is in use.

Owned by the event loop. No method awaits, so each is one step that nobody can observe half done.
"""

import itertools
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from difflib import get_close_matches

from adaptermux_server.adapters.ids import check_adapter_id, parse_reference
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.served import RevisionKey, ServedAdapter
from adaptermux_server.errors import AdapterNotFoundError, AdapterNotReadyError, ConcurrentChangeError
from adaptermux_server.types import BASE_SLOT, AdapterState

__all__ = ["AdapterEntry", "AdapterRegistry", "RevisionKey", "ServedAdapter", "check_adapter_id"]

_MAX_NEIGHBOURS = 32
_SHOWN_REVISION_CHARACTERS = 12


@dataclass(eq=False, slots=True)
class AdapterEntry:
    """What the registry holds for one id. Others read it; changes go through the registry."""

    id: str
    uri: str
    weight: float
    max_wait_seconds: float
    state: AdapterState = AdapterState.LOADING
    current: ServedAdapter | None = None
    """The revision that serves (READY) or was the last to serve (DRAINING)."""
    revisions: list[ServedAdapter] = field(default_factory=list)
    """All that sit in a slot: `current`, and earlier ones until their last request has ended."""
    digest: str = ""
    """Of the files that the load under way, or the failed one, has read."""
    error: Exception | None = None
    changing: bool = False
    """Whether a load or an unload is under way."""

    @property
    def num_in_flight(self) -> int:
        """Leases on all revisions."""
        return sum(served.num_leases for served in self.revisions)


class AdapterRegistry:
    """Leases for requests, pictures for listings, and the steps of loads and unloads for `Lifecycle`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self.clock = clock
        self._entries: dict[str, AdapterEntry] = {}
        self._slots = itertools.count(BASE_SLOT + 1)

    def lease(self, reference: str, field: str = "adapter") -> AbstractContextManager[ServedAdapter]:
        """Hold the revision that serves `reference` (`id`, or `id@` and 8 to 64 hex digits) until the context ends.

        Raises:
            InvalidRequestError: for `field`, where the reference is malformed.
            AdapterNotFoundError: nothing of this id, or no such revision, is loaded.
            AdapterNotReadyError: the id is LOADING, DRAINING or FAILED.
        """
        wanted = parse_reference(reference, field)
        entry = self._entry(wanted.id)
        if entry.state is not AdapterState.READY or entry.current is None:
            raise AdapterNotReadyError(wanted.id, entry.state)
        if not entry.current.revision.startswith(wanted.revision_prefix):
            serving = f"{wanted.id}@{entry.current.revision[:_SHOWN_REVISION_CHARACTERS]}"
            raise AdapterNotFoundError(reference, [serving])
        return entry.current.lease()

    def get(self, adapter_id: str) -> AdapterRecord:
        """Describe one adapter. Raises InvalidRequestError (`adapter_id`) or AdapterNotFoundError."""
        return self.record(self._entry(check_adapter_id(adapter_id, "adapter_id")))

    def list(self) -> Sequence[AdapterRecord]:
        """Describe all adapters, sorted by id."""
        return [self.record(entry) for _, entry in sorted(self._entries.items())]

    def ids_by_slot(self) -> dict[int, str]:
        """The id behind each slot in use."""
        return {served.slot: entry.id for entry in self._entries.values() for served in entry.revisions}

    def record(self, entry: AdapterEntry, state: AdapterState | None = None) -> AdapterRecord:
        """Describe `entry` as it is, or as if it were in `state`."""
        current = entry.current
        shown = current or entry
        failed_digest = entry.digest if entry.state is AdapterState.FAILED else ""
        return AdapterRecord(
            id=entry.id,
            state=state or entry.state,
            uri=shown.uri,
            revision=current.revision if current else failed_digest,
            spec=current.spec if current else None,
            weight=shown.weight,
            max_wait_seconds=shown.max_wait_seconds,
            load_time=current.load_time if current else None,
            last_used_time=current.last_used_time if current else None,
            num_rows_answered=current.num_rows_answered if current else 0,
            num_in_flight=entry.num_in_flight,
            error=entry.error,
        )

    def next_slot(self) -> int:
        """A slot that was never given before."""
        return next(self._slots)

    def begin_load(self, adapter_id: str, uri: str, weight: float, max_wait_seconds: float) -> AdapterEntry:
        """Claim an id for a load; an id without a revision becomes LOADING. Raises ConcurrentChangeError."""
        entry = self._entries.get(adapter_id)
        if entry is None:
            entry = self._entries[adapter_id] = AdapterEntry(adapter_id, uri, weight, max_wait_seconds)
        _claim(entry)
        if entry.current is None:
            entry.uri, entry.weight, entry.max_wait_seconds = uri, weight, max_wait_seconds
            entry.state = AdapterState.LOADING
        entry.digest, entry.error = "", None
        return entry

    def note_digest(self, entry: AdapterEntry, digest: str) -> None:
        """Note what the load under way has read, in case that it fails later."""
        entry.digest = digest

    def publish(self, entry: AdapterEntry, served: ServedAdapter) -> Sequence[ServedAdapter]:
        """Move the id to a revision, in one step; returns the earlier ones, which take no new leases from now on."""
        earlier = tuple(entry.revisions)
        entry.revisions.append(served)
        entry.current = served
        entry.state = AdapterState.READY
        entry.changing = False
        return earlier

    def keep(self, entry: AdapterEntry, error: Exception | None = None) -> None:
        """End a change that moves nothing: what served serves on; FAILED where there is nothing that could."""
        entry.error = error
        entry.changing = False
        if entry.current is None:
            entry.state = AdapterState.FAILED

    def begin_unload(self, adapter_id: str) -> AdapterEntry:
        """Claim an id for an unload; it takes no new leases from now on.

        Raises AdapterNotFoundError or ConcurrentChangeError.
        """
        entry = self._entry(adapter_id)
        _claim(entry)
        if entry.current is not None:
            entry.state = AdapterState.DRAINING
        return entry

    def end_change(self, entry: AdapterEntry) -> None:
        """Let another change begin."""
        entry.changing = False

    def release(self, entry: AdapterEntry, served: ServedAdapter) -> None:
        """Note that a revision has left its slot."""
        entry.revisions.remove(served)

    def forget(self, entry: AdapterEntry) -> None:
        """Drop an id of which no revision is left."""
        del self._entries[entry.id]

    def _entry(self, adapter_id: str) -> AdapterEntry:
        entry = self._entries.get(adapter_id)
        if entry is None:
            raise AdapterNotFoundError(adapter_id, self._similar(adapter_id))
        return entry

    def _similar(self, adapter_id: str) -> Sequence[str]:
        # Comparing costs up to 0.1 ms an id and holds the event loop: only the neighbours in order are looked at.
        ids = sorted(self._entries)
        place = bisect(ids, adapter_id)
        return get_close_matches(adapter_id, ids[max(0, place - _MAX_NEIGHBOURS) : place + _MAX_NEIGHBOURS])


def _claim(entry: AdapterEntry) -> None:
    if entry.changing:
        raise ConcurrentChangeError(entry.id)
    entry.changing = True
