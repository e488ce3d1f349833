"""One revision that requests may name, where its tensors are, and who is using it."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from adaptermux_server.types import AdapterSpec, ProblemType, Tier


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """What makes two loads of one id the same revision: equal content and equal choices at load."""

    digest: str
    labels: tuple[str, ...] = ()
    """As asked for at load; empty: as its files name them."""
    problem_type: ProblemType | None = None
    """As asked for at load; None: as its files say."""


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How an adapter is served; may change while it is."""

    weight: float = 1.0
    """Share of compute under contention, relative to other adapters."""
    max_wait_seconds: float | None = None
    """None: the server's default."""
    pinned: bool = False
    """Whether it stays in the engine."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The operator's own notes."""


@dataclass(eq=False, slots=True)
class ServedAdapter:
    """A revision under an id. Owned by the event loop."""

    id: str
    key: RevisionKey
    spec: AdapterSpec
    uri: str
    options: ServingOptions = ServingOptions()
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    slot: int | None = field(init=False, default=None)
    """Its place in the engine; None: it isn't there. A slot is never given twice, not even to the same revision."""
    tier: Tier = field(init=False, default=Tier.DISK)
    """Where its tensors are."""
    num_holds: int = field(init=False, default=0)
    """Requests that need it in the engine now; see `Tiers`."""
    load_time: float = field(init=False)
    last_used_time: float | None = field(init=False, default=None)
    num_rows_answered: int = field(init=False, default=0)
    """Counted up by whoever answers rows."""
    num_leases: int = field(init=False, default=0)
    _idle: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.load_time = self.clock()
        self._idle.set()

    @property
    def revision(self) -> str:
        """The digest of its content."""
        return self.key.digest

    @property
    def held_slot(self) -> int:
        """Its slot, while somebody holds it there."""
        if self.slot is None or not self.num_holds:
            raise AssertionError("this is a bug: nobody holds it in the engine")
        return self.slot

    @contextmanager
    def lease(self, *, asked: bool = True) -> Iterator["ServedAdapter"]:
        """Keep the revision from being unloaded for the time of one request; or of a move that none `asked` for."""
        self.num_leases += 1
        if asked:
            self.last_used_time = self.clock()
        self._idle.clear()
        try:
            yield self
        finally:
            self.num_leases -= 1
            if not self.num_leases:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Return once no request holds a lease. Final only if no new one can be taken."""
        await self._idle.wait()
