"""Whatever comes, goes and is served in any order, each row leaves once, and served ones in the order of their slot; a
batch is of one lane, and there is one whenever anything waits.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, Deadline, ExecutorKind
from tests.scheduler.rows import FakeRow, World

SLOTS = st.integers(0, 4)


class PolicyMachine(RuleBasedStateMachine):
    """A world, and a plain account of what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(SchedulerSettings(max_batch_rows=3, max_wait_seconds=0.1, max_turn_seconds=0.05))
        self.arrived: list[FakeRow] = []
        self.cancelled: list[FakeRow] = []
        self.executors = dict.fromkeys(range(5), ExecutorKind.SWITCH)
        self.lanes: dict[FakeRow, int] = {}

    def lane(self, slot: int) -> int:
        return BASE_SLOT if self.executors[slot] is ExecutorKind.BANK else slot

    @property
    def waiting(self) -> list[FakeRow]:
        gone = {*self.world.served, *self.world.expired, *self.cancelled}
        return [row for row in self.arrived if row not in gone]

    @rule(slot=SLOTS, num_tokens=st.integers(1, 64), seconds=st.none() | st.floats(0, 0.3), count=st.integers(1, 4))
    def arrive(self, slot: int, num_tokens: int, seconds: float | None, count: int) -> None:
        rows = [FakeRow(slot, num_tokens, Deadline.after(seconds, self.world.now)) for _ in range(count)]
        # A slot goes to another lane only when none of its rows waits.
        lanes = [self.lanes[row] for row in self.waiting if row.slot == slot] or [self.lane(slot)]
        self.lanes.update(dict.fromkeys(rows, lanes[0]))
        self.world.arrive(*rows)
        self.arrived += rows

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.waiting))

        assert self.world.policy.queues.discard(row)
        self.cancelled.append(row)

    @precondition(lambda self: self.arrived)
    @rule(data=st.data())
    def cancel_what_may_have_left(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.arrived))
        if row not in self.waiting:
            assert not self.world.policy.queues.discard(row)

    @rule(
        slot=SLOTS,
        weight=st.floats(0.01, 100),
        max_wait=st.none() | st.floats(0.01, 1),
        executor=st.sampled_from(ExecutorKind),
    )
    def configure(self, slot: int, weight: float, max_wait: float | None, executor: ExecutorKind) -> None:
        self.world.configure(slot, weight, max_wait, executor)
        self.executors[slot] = executor

    @rule(slot=SLOTS)
    def fail_slot(self, slot: int) -> None:
        expected = [row for row in self.waiting if row.slot == slot]

        rows = self.world.policy.queues.take_slot(slot)

        assert expected == list(rows)
        self.cancelled += rows

    @rule(seconds=st.floats(0, 0.5))
    def let_time_pass(self, seconds: float) -> None:
        self.world.now += seconds

    @rule()
    def serve(self) -> None:
        had_rows = bool(self.waiting)
        num_expired = len(self.world.expired)

        batch = self.world.step()

        assert had_rows == (batch is not None or len(self.world.expired) > num_expired)
        assert batch is not None or not self.waiting
        if batch:
            ends_at = batch.begins_at + batch.traversed * 0.01 + batch.seconds
            assert all(row.deadline.at >= ends_at - 1e-9 for row in batch.rows)
            assert {batch.lane} == {self.lanes[row] for row in batch.rows}

    @invariant()
    def counts_agree(self) -> None:
        waiting = self.waiting
        assert len(waiting) == self.world.policy.queues.num_rows
        assert sum(row.num_tokens for row in waiting) == self.world.policy.queues.num_tokens

    def teardown(self) -> None:
        self.world.run()
        served, expired = self.world.served, self.world.expired
        left = served + expired + self.cancelled
        assert len(self.arrived) == len(left)
        assert set(self.arrived) == set(left)
        for slot in range(5):
            in_order = [row for row in self.arrived if row.slot == slot and row in set(served)]
            assert in_order == [row for row in served if row.slot == slot]


TestPolicyMachine = PolicyMachine.TestCase
TestPolicyMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
