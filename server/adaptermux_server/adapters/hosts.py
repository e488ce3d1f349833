"""What the lifecycle needs of the engine and of the scheduler; both are known here by these protocols alone."""

from typing import Protocol, TypeVar

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.types import AdapterSpec, ExecutorKind, ProblemType


class PreparedAdapter(Protocol):
    """An adapter that is checked against the base model and only needs a slot."""

    @property
    def spec(self) -> AdapterSpec:
        """What it is."""


_Prepared = TypeVar("_Prepared", bound=PreparedAdapter)


class ModelHost(Protocol[_Prepared]):
    """Whoever owns the model. What it prepares is its own affair, but for the spec.

    Commands are carried out in the order given, so one may rely on what an earlier one will have freed.
    """

    async def prepare(
        self, checkpoint: Checkpoint, *, labels: tuple[str, ...], problem_type: ProblemType | None
    ) -> _Prepared:
        """Check and build all that can be built beside the model. `labels` empty, `problem_type` None: by the head."""

    async def install(self, slot: int, prepared: _Prepared) -> None:
        """Put it into a free slot; after an error the slot is free as before."""

    async def evict(self, slot: int) -> _Prepared | None:
        """Free a slot and give back what can be installed again; None: it can't, and must be prepared anew.

        After an error the slot is free all the same.
        """

    async def remove(self, slot: int) -> None:
        """Free a slot for good; after an error it is free all the same."""


class QueueHost(Protocol):
    """Whoever owns the queue."""

    def configure_slot(
        self, slot: int, *, label: str, weight: float, max_wait_seconds: float | None, executor: ExecutorKind
    ) -> None:
        """Set how the rows of a slot are treated. `max_wait_seconds` None: the server's default."""

    def fail_slot(self, slot: int, error: Exception) -> int:
        """Fail the rows of a slot that wait; returns how many."""

    def forget_slot(self, slot: int) -> None:
        """Drop what is known of a slot that has no rows."""
