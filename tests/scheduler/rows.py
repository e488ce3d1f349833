"""Rows without tokens, and a world in which the policy can be watched batch by batch."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind

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

    lane: int
    rows: tuple[FakeRow, ...]
    begins_at: float
    seconds: float
    traversed: bool


class World:
    """A policy, and an engine with one active adapter that takes what the policy reckons with: no padding.

    Time passes only in `step`.
    """

    def __init__(self, settings: SchedulerSettings | None = None, bank: Iterable[int] = ()) -> None:
        """`bank`: slots that share a lane with the base; any other slot has one of its own."""
        self.settings = settings or SchedulerSettings()
        self.costs = costs()
        self.policy: Policy[FakeRow] = Policy(self.settings, self.costs)
        self.now = 0.0
        self.batches: list[Batch] = []
        self.expired: list[FakeRow] = []
        for slot in bank:
            self.configure(slot, executor=ExecutorKind.BANK)

    def configure(
        self,
        slot: int,
        weight: float = 1.0,
        max_wait_seconds: float | None = None,
        executor: ExecutorKind = ExecutorKind.SWITCH,
    ) -> None:
        """Set a slot's terms."""
        self.policy.configure_slot(slot, weight, max_wait_seconds, executor)

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
        traversed = decision.lane not in self.policy.resident_slots
        active = self.policy.resident_slots if decision.lane == BASE_SLOT else {decision.lane}
        num_tokens = sum(row.num_tokens for row in decision.rows)
        batch = Batch(decision.lane, decision.rows, self.now, self.costs.batch(num_tokens), traversed)
        self.now += batch.seconds + traversed * TRAVERSAL_SECONDS
        self.policy.batch_done(batch.lane, batch.seconds, frozenset({BASE_SLOT, *active}))
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
