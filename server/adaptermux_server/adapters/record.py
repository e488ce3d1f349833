"""What listings show of an adapter: an immutable picture of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptermux_server.types import AdapterSpec, AdapterState, Tier


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """An adapter as the server knows it; times are seconds since the epoch."""

    id: str
    state: AdapterState
    uri: str
    """As given at load."""
    revision: str = ""
    """The digest of the revision that serves or drains; empty where there is none."""
    spec: AdapterSpec | None = None
    """Of that revision."""
    weight: float = 1.0
    max_wait_seconds: float = 0.0
    tier: Tier | None = None
    """Where that revision is."""
    pinned: bool = False
    """Whether it is never moved out of the engine to make room."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The operator's own labels (not those of the head)."""
    earlier_revisions: tuple[str, ...] = ()
    """What served before and can still be named, newest first."""
    load_time: float | None = None
    """When that revision became READY; None: never."""
    last_used_time: float | None = None
    """When a request for that revision was last taken; None: never."""
    num_rows_answered: int = 0
    """By that revision."""
    num_in_flight: int = 0
    """Requests that hold a lease on any revision of the id."""
    error: Exception | None = None
    """Why the last load failed; beside READY, an earlier revision still serves."""
