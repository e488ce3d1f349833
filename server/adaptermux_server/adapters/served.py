"""One revision of an adapter that sits in a slot, and who is using it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from adaptermux_server.types import AdapterSpec, ProblemType


@dataclass(frozen=True, slots=True)
class RevisionKey:
    """What makes two loads of one id the same revision: equal content and equal choices at load."""

    digest: str
    labels: tuple[str, ...]
    """As asked for at load or named by the files; empty: neither."""
    problem_type: ProblemType | None


@dataclass(eq=False, slots=True)
class ServedAdapter:
    """A revision in its slot. Owned by the event loop; only its counters and options change."""

    id: str
    key: RevisionKey
    slot: int
    """Never given to another revision, not even of the same id."""
    spec: AdapterSpec
    uri: str
    weight: float
    max_wait_seconds: float
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
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

    @contextmanager
    def lease(self) -> Iterator["ServedAdapter"]:
        """Hold the revision in its slot for the time of one request."""
        self.num_leases += 1
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
