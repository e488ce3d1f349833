"""What the database holds, as values; times are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptermux_server.types import AdapterSpec, ProblemType


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """A content of the store."""

    digest: str
    num_bytes: int
    """Of all its files."""
    added_at: float
    """When it was last added, or when an adapter that had it was last forgotten."""


@dataclass(frozen=True, slots=True)
class StoredServing:
    """A content with the choices of its load: what an id serves, or served before."""

    digest: str
    """Of a stored revision."""
    labels: tuple[str, ...] = ()
    """Of its head, as asked for at load; empty: as its files name them."""
    problem_type: ProblemType | None = None
    """As asked for at load; None: as its files say."""
    spec: AdapterSpec | None = None
    """What the content turned out to be on the base model that it was last loaded on; None: not known."""


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """An adapter that serves again after a restart."""

    id: str
    digest: str
    """Of a stored revision."""
    labels: tuple[str, ...] = ()
    """Of its head, as asked for at load; empty: as its files name them."""
    problem_type: ProblemType | None = None
    """As asked for at load; None: as its files say."""
    weight: float = 1.0
    max_wait_seconds: float | None = None
    """None: the server's default."""
    pinned: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The operator's own labels."""
    uri: str = ""
    """Where it came from, as given at load; empty: from the store itself."""
    changed_at: float = 0.0
    spec: AdapterSpec | None = None
    """See `StoredServing`."""
    base: str = ""
    """Fingerprint of the base model that the spec holds for."""

    @property
    def serving(self) -> StoredServing:
        """What it serves."""
        return StoredServing(self.digest, self.labels, self.problem_type, self.spec)


@dataclass(frozen=True, slots=True)
class StoredAlias:
    """A name that stands for adapters."""

    name: str
    targets: tuple[tuple[str, int], ...]
    """Adapters (`id`, or `id@` and a revision) with their weights. They needn't be there."""
    update_time: float = 0.0
