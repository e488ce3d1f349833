"""What the registry holds for one id."""

from dataclasses import dataclass, field

from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.served import ServedAdapter, ServingOptions
from adaptermux_server.types import AdapterState


@dataclass(eq=False, slots=True)
class AdapterEntry:
    """Others read it; changes go through the registry."""

    id: str
    uri: str
    options: ServingOptions
    state: AdapterState = AdapterState.LOADING
    current: ServedAdapter | None = None
    """The revision that serves (READY) or was the last to serve (DRAINING)."""
    earlier: list[ServedAdapter] = field(default_factory=list)
    """What served before and may still be named, newest first."""
    retiring: list[ServedAdapter] = field(default_factory=list)
    """What may not be named any more and waits for its last request."""
    digest: str = ""
    """Of the files that the load under way, or the failed one, has read."""
    error: Exception | None = None
    changing: bool = False
    """Whether a load or another change is under way."""
    told: AdapterRecord | None = None
    """What watchers know of it, counters left out."""

    @property
    def revisions(self) -> list[ServedAdapter]:
        """All that requests may be using."""
        current = [] if self.current is None else [self.current]
        return [*current, *self.earlier, *self.retiring]

    @property
    def num_in_flight(self) -> int:
        """Leases on all revisions."""
        return sum(served.num_leases for served in self.revisions)

    def find(self, revision_prefix: str) -> list[ServedAdapter]:
        """The revisions that may be named by a prefix of their digest."""
        named = [served for served in (self.current, *self.earlier) if served is not None]
        return [served for served in named if served.revision.startswith(revision_prefix)]

    def record(self, max_wait_seconds: float, state: AdapterState | None = None) -> AdapterRecord:
        """Describe it as it is, or as if it were in `state`. `max_wait_seconds`: what its options come to."""
        current = self.current
        failed_digest = self.digest if self.state is AdapterState.FAILED else ""
        return AdapterRecord(
            id=self.id,
            state=state or self.state,
            uri=current.uri if current else self.uri,
            revision=current.revision if current else failed_digest,
            spec=current.spec if current else None,
            tier=current.tier if current else None,
            weight=self.options.weight,
            max_wait_seconds=max_wait_seconds,
            pinned=self.options.pinned,
            metadata=self.options.metadata,
            earlier_revisions=tuple(served.revision for served in self.earlier),
            load_time=current.load_time if current else None,
            last_used_time=current.last_used_time if current else None,
            num_rows_answered=current.num_rows_answered if current else 0,
            num_in_flight=self.num_in_flight,
            error=self.error,
        )
