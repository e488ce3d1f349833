"""The scheduler: one task of the event loop that picks a batch, has it run, and settles its rows.

It owns the queue and all that is known of it. Nothing here locks, since nothing but the event loop comes in.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from adaptermux_server.errors import AdapterMuxError, DeadlineExceededError, ShuttingDownError
from adaptermux_server.scheduler.admission import Admission, Demand, demands_of
from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.ledger import Ledger, Outcome
from adaptermux_server.scheduler.packing import split
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.recorder import BatchRecorder, failed_record, record_of
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import (
    BASE_SLOT,
    BatchPlan,
    BatchRecord,
    BatchResult,
    Deadline,
    ExecutorKind,
    QueueDepth,
    Row,
    RowAnswer,
    SchedulerStatus,
)

Runner = Callable[[BatchPlan], Awaitable[BatchResult]]

_BASE_LABEL = "base"

_log = structlog.get_logger(__name__)


class Scheduler:
    """Takes rows, orders them by its policy, and answers each exactly once.

    A row leaves as exactly one of: answered; failed (its forward raised, and where that had rows of other slots, so did
    one of its slot alone); cancelled (its future was, or `fail_slot` or the end of the server took it out of the
    queue); expired (its deadline passed, or can't be met).
    """

    def __init__(
        self, runner: Runner, settings: SchedulerSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`runner`: computes a plan, one at a time; `clock`: the one that the rows' deadlines are read on."""
        self._runner = runner
        self._settings = settings
        self._clock = clock
        self._costs = CostModel()
        self._policy: Policy[Row] = Policy(settings, self._costs)
        self._admission = Admission(settings, self._costs, self._policy)
        self._queues = self._policy.queues
        self._ledger = Ledger()
        self.recorder = BatchRecorder()
        self._labels = {BASE_SLOT: _BASE_LABEL}
        self._accepting = True
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def submit(self, rows: Sequence[Row]) -> None:
        """Queue rows, all or none; each row's future is set later. Cancelling a future frees its row's place at once.

        Raises as `check` does.
        """
        deadline = min((row.deadline for row in rows), key=lambda deadline: deadline.at, default=Deadline())
        self.check(demands_of(rows), deadline)
        now = self._clock()
        for row in rows:
            self._queues.append(row, now)
            self._ledger.joined(row)
            row.future.add_done_callback(partial(self._drop_if_cancelled, row))
        self._work.set()

    def check(self, demands: Mapping[int | None, Demand], deadline: Deadline) -> None:
        """Refuse rows that are not made yet if `submit` would, so that nobody has to make them.

        `demands`: by slot; None: of slots that adapters have yet to get.

        Raises:
            ShuttingDownError: the scheduler is draining or closed.
            QueueFullError: the rows don't fit the queue, or their adapter's share of it.
            DeadlineExceededError: what must be computed before them takes too long.
        """
        if not self._accepting:
            raise ShuttingDownError
        try:
            self._admission.check(demands, deadline, self._labels, self._clock())
        except AdapterMuxError:
            self._ledger.rejected(sum(demand.num_rows for demand in demands.values()))
            raise

    def configure_slot(
        self,
        slot: int,
        *,
        label: str,
        weight: float = 1.0,
        max_wait_seconds: float | None = None,
        executor: ExecutorKind,
    ) -> None:
        """Set how a slot is named and served; may be repeated while rows wait.

        Args:
            slot: an adapter's, or BASE_SLOT.
            label: for messages to callers: the adapter's id.
            weight: share of compute under contention, relative to other slots; above 0.
            max_wait_seconds: after it, the slot's oldest row makes its lane overdue. None: the settings' bound.
            executor: what computes its rows; those in the bank share batches. Takes effect when none of its rows waits.
        """
        self._labels[slot] = label
        self._policy.configure_slot(slot, weight, max_wait_seconds, executor)

    def forget_slot(self, slot: int) -> None:
        """Drop what `configure_slot` set, once the slot's last row has left."""
        self._labels.pop(slot, None)
        self._policy.forget_slot(slot)

    def fail_slot(self, slot: int, error: Exception) -> int:
        """Give `error` to all rows of a slot that wait (not to those being computed); returns how many they were."""
        rows = self._queues.take_slot(slot)
        self._refuse(rows, error, "cancelled")
        return len(rows)

    def status(self) -> SchedulerStatus:
        """A snapshot of queues, counts and cost estimates."""
        return SchedulerStatus(
            queues=self._depths(),
            rows=self._ledger.row_counts(),
            num_batches=self._ledger.num_batches,
            num_batched_rows=self._ledger.num_batched_rows,
            num_traversals=self._ledger.num_traversals,
            num_traversals_in_arrival_order=self._ledger.num_traversals_in_arrival_order,
            num_batched_adapters=self._ledger.num_batched_adapters,
            forwards_by_kernel=dict(self._ledger.forwards_by_kernel),
            costs=self._costs.estimates(),
        )

    async def start(self) -> None:
        """Begin to serve. Rows may have been submitted before."""
        self._task = asyncio.create_task(self._serve(), name="scheduler")

    async def drain(self, timeout_seconds: float) -> None:
        """Refuse new rows and let the present ones finish.

        Those that still wait after the timeout fail with ShuttingDownError; a batch under way is left to its end.
        """
        self._accepting = False
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ledger.wait_empty()
        except TimeoutError:
            self._fail_all_waiting()

    async def close(self) -> None:
        """Stop serving at once; repeatable. All rows that have not left fail with ShuttingDownError."""
        self._accepting = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail_all_waiting()

    async def _serve(self) -> None:
        try:
            while True:
                await self._work.wait()
                batch = self._pick()
                if batch is None:
                    self._work.clear()
                else:
                    await self._run(*batch)
        finally:
            # After a bug, too, nobody must wait for a task that is gone.
            self._accepting = False
            self._fail_all_waiting()

    def _pick(self) -> tuple[int, BatchPlan] | None:
        """The next batch, after its lane; None: nothing waits."""
        while True:
            decision = self._policy.next_batch(self._clock())
            if decision.expired:
                self._refuse(decision.expired, self._expiry(), "expired")
            if not decision.rows:
                return None
            rows = tuple(row for row in decision.rows if not self._left_already(row))
            if rows:
                lengths = [row.num_tokens for row in rows]
                return decision.lane, BatchPlan(rows, split(lengths, self._settings.batch_limits, self._costs))

    def _expiry(self) -> DeadlineExceededError:
        """What expired rows are told: to come again only where others are the reason."""
        num_rows = min(self._queues.num_rows, self._settings.max_batch_rows)
        return DeadlineExceededError(retry_seconds=self._admission.retry_seconds(num_rows) if num_rows else None)

    async def _run(self, lane: int, plan: BatchPlan) -> None:
        """Compute a batch forward by forward, so that rows are answered as soon as theirs is done."""
        # That of the row whose turn it is comes first.
        forwards = sorted(sorted(forward) for forward in plan.forwards)
        await self._run_parts(lane, [[plan.rows[position] for position in forward] for forward in forwards])

    async def _run_parts(self, lane: int, parts: Sequence[Sequence[Row]]) -> None:
        """Compute each part of a batch in a forward of its own."""
        left = deque(parts)
        try:
            while left:
                rows = tuple(row for row in left.popleft() if not self._left_already(row))
                if rows:
                    await self._run_forward(lane, BatchPlan.at_once(rows))
        finally:
            # Some are left where the server ends meanwhile.
            for unserved in left:
                self._refuse(unserved, ShuttingDownError(), "failed")

    async def _run_forward(self, lane: int, plan: BatchPlan) -> None:
        """Compute a forward; one that raises, once more slot by slot, so that only rows of slots at fault fail."""
        error = await self._attempt(lane, plan)
        by_slot: dict[int, list[Row]] = {}
        for row in plan.rows:
            by_slot.setdefault(row.slot, []).append(row)
        if error and len(by_slot) == 1:
            self._refuse(plan.rows, error, "failed")
        elif error:
            # If all succeed now, no caller is told of the error.
            _log.warning("a forward raised: its slots are computed one by one", num_slots=len(by_slot), exc_info=error)
            await self._run_parts(lane, [*by_slot.values()])

    async def _attempt(self, lane: int, plan: BatchPlan) -> Exception | None:
        """Compute a forward and answer its rows; what it raises is returned, and they wait on."""
        started_at = self._clock()
        try:
            result = await self._runner(plan)
            record = record_of(plan, result, started_at)
        except asyncio.CancelledError:
            self._refuse(plan.rows, ShuttingDownError(), "failed")
            raise
        except Exception as error:  # the border to the engine: whatever it raises is an answer to these rows alone
            spent_seconds = self._clock() - started_at
            self._policy.batch_done(lane, spent_seconds, self._policy.resident_slots)
            self.recorder.record(failed_record(plan, started_at, spent_seconds))
            return error
        self._settle(plan, result, record)
        self._learn(lane, plan, result)
        self.recorder.record(record)
        return None

    def _settle(self, plan: BatchPlan, result: BatchResult, record: BatchRecord) -> None:
        for row, values, recorded in zip(plan.rows, result.values, record.rows, strict=True):
            if not self._left_already(row):
                row.future.set_result(RowAnswer(values, recorded.queue_seconds, record))
                self._ledger.left(row, "answered")

    def _learn(self, lane: int, plan: BatchPlan, result: BatchResult) -> None:
        self._policy.batch_done(lane, result.compute_seconds, result.resident_slots)
        self._ledger.batch_done(plan, result)
        self._costs.learn_batch(plan.num_padded_tokens, result.compute_seconds, len(plan.forwards))
        if result.num_traversals:
            self._costs.learn_traversal(result.traversal_seconds / result.num_traversals)

    def _refuse(self, rows: Iterable[Row], error: Exception, outcome: Outcome) -> None:
        for row in rows:
            if not self._left_already(row):
                row.future.set_exception(error)
                self._ledger.left(row, outcome)

    def _left_already(self, row: Row) -> bool:
        """Whether the caller cancelled a row that is out of the queue; if so, it leaves here."""
        if row.future.done():
            self._ledger.left(row, "cancelled")
        return row.future.done()

    def _drop_if_cancelled(self, row: Row, future: "asyncio.Future[RowAnswer]") -> None:
        if future.cancelled() and self._queues.discard(row):
            self._ledger.left(row, "cancelled")

    def _fail_all_waiting(self) -> None:
        for slot, _ in tuple(self._queues.slots()):
            self.fail_slot(slot, ShuttingDownError())

    def _depths(self) -> tuple[QueueDepth, ...]:
        now = self._clock()
        depths = (QueueDepth(slot, len(queue), now - queue.head.enqueued_at) for slot, queue in self._queues.slots())
        return tuple(sorted(depths, key=lambda depth: -depth.num_rows))
