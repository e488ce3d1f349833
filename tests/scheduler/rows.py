"""Rows without tokens, and a world in which the policy can be watched batch by batch."""

from dataclasses import dataclass, field

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline

TRAVERSAL_SECONDS = 0.010
BATCH_SECONDS = 0.005
TOKEN_SECONDS = 0.0001
NO_BOUND = 1e9


@dataclass(eq=False, slots=True)
class FakeRow:
    """What the policy needs of a row, and nothing else."""

    slot: int
    num_tokens: int = 10
    deadline: Deadline = field(default_factory=Deadline)
    enqueued_at: float = 0.0


def costs() -> CostModel:
    """Costs that the world keeps exactly."""
    return CostModel(TRAVERSAL_SECONDS, BATCH_SECONDS, TOKEN_SECONDS)


@dataclass(frozen=True)
class Batch:
    """One batch that was served."""

    slot: int
    rows: tuple[FakeRow, ...]
    begins_at: float
    seconds: float
    traversed: bool


class World:
    """A policy, and an engine with one active adapter that takes what the costs say; time passes only in `step`."""

    def __init__(self, settings: SchedulerSettings | None = None) -> None:
        self.settings = settings or SchedulerSettings()
        self.costs = costs()
        self.policy: Policy[FakeRow] = Policy(self.settings, self.costs)
        self.now = 0.0
        self.batches: list[Batch] = []
        self.expired: list[FakeRow] = []

    def arrive(self, *rows: FakeRow) -> None:
        """Queue rows now."""
        for row in rows:
            self.policy.queues.append(row, self.now)

    def step(self) -> Batch | None:
        """Serve one batch; None where nothing waits."""
        decision = self.policy.next_batch(self.now)
        self.expired += decision.expired
        if not decision.rows:
            return None
        traversed = decision.slot not in self.policy.resident_slots
        active = {slot for slot in self.policy.resident_slots if slot != BASE_SLOT}
        active = active if decision.slot == BASE_SLOT else {decision.slot}
        padded = max(row.num_tokens for row in decision.rows) * len(decision.rows)
        batch = Batch(decision.slot, decision.rows, self.now, self.costs.batch(padded), traversed)
        self.now += batch.seconds + traversed * TRAVERSAL_SECONDS
        self.policy.batch_done(batch.slot, batch.seconds, frozenset({BASE_SLOT, *active}))
        self.batches.append(batch)
        return batch

    def run(self) -> None:
        """Serve until nothing waits."""
        while self.step():
            pass

    @property
    def num_traversals(self) -> int:
        """Traversals so far."""
        return sum(batch.traversed for batch in self.batches)

    @property
    def served(self) -> list[FakeRow]:
        """All served rows, in the order of service."""
        return [row for batch in self.batches for row in batch.rows]
