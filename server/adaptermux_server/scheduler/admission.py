"""Who is let into the queue; pure, as the policy is: the time is an argument.

Two things keep rows out: no room (the limits of the queue, and of one adapter's part of it), and no time: what must be
computed before them takes longer than their deadline allows. To wait for that would help nobody, so they are refused at
once, and learn when to come back.

What must be computed before a row is what `LaneQueue` promises: all that waits in its own slot, of each other slot of
its lane no more than the fair order takes before it, and the batch under way. So a flood by one tenant refuses that
tenant's rows and nobody else's. The estimate errs on the side of letting in: it counts no other lanes, nothing that may
come later, and padding only as far as batches had some lately. Rows that are let in and turn out late still expire in
the queue, without a forward. Rows are refused that would have been in time

- where rows before them leave the queue otherwise: cancelled, expired, or failed;
- where their slot waits with more than its share of a batch, and they would have been in time by less than two full
  batches: rows served so close to their deadlines would keep batches small (see `LaneQueue.pop_late`);
- where those before them are much longer or shorter than what waits on average, by fixed parts of batches;
- where the costs are thought higher than they are. While they are hardly known, and as long as all that waits in the
  lane fits one batch, nothing is refused for its deadline: there are always batches from which costs are learnt, and no
  estimate can shut out everybody. Where even the first of all is refused, as it is larger than a batch, the estimate is
  doubted until one gets through.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

from adaptermux_server.errors import DeadlineExceededError, QueueFullError
from adaptermux_server.scheduler.costs import CostModel
from adaptermux_server.scheduler.policy import Policy
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.scheduler.slot_queue import Item, Queued
from adaptermux_server.types import Deadline

_LEAST_RETRY_SECONDS = 0.1
_SPARE_BATCHES = 2
"""Of a crowded slot: one that its rows must not keep small, and one by which others may get ahead of them."""
_LEAST_MEASUREMENTS = 16
"""Batches from which costs must have been learnt before anybody is refused because of them."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a call wants of one slot."""

    num_rows: int
    num_tokens: int
    """Of all rows; before they are tokenised, a number that can't be above it."""
    longest: int
    """Tokens of the longest row, likewise."""

    @classmethod
    def at_least(cls, num_rows: int) -> "Demand":
        """Of texts that aren't tokenised yet."""
        return cls(num_rows, num_rows, 1)


def demands_of(rows: Iterable[Queued]) -> dict[int | None, Demand]:
    """What rows want, by slot."""
    num_rows: Counter[int] = Counter()
    num_tokens: Counter[int] = Counter()
    longest: dict[int, int] = {}
    for row in rows:
        num_rows[row.slot] += 1
        num_tokens[row.slot] += row.num_tokens
        longest[row.slot] = max(row.num_tokens, longest.get(row.slot, 0))
    return {slot: Demand(num_rows[slot], num_tokens[slot], longest[slot]) for slot in num_rows}


class Admission(Generic[Item]):
    """Looks at the queues of a policy; changes nothing but its doubt in the costs."""

    def __init__(self, settings: SchedulerSettings, costs: CostModel, policy: Policy[Item]) -> None:
        self._settings, self._costs, self._policy = settings, costs, policy
        self._limits, self._queues = settings.batch_limits, policy.queues

    def check(
        self, demands: Mapping[int | None, Demand], deadline: Deadline, labels: Mapping[int, str], now: float
    ) -> None:
        """Let a call in, or refuse it.

        Args:
            demands: by slot; None: of slots that adapters have yet to get.
            deadline: of all its rows.
            labels: how slots are named in messages.
            now: on the clock of the deadline.

        Raises:
            QueueFullError: the rows don't fit the queue, or their slot's part of it.
            DeadlineExceededError: they can't be computed in time; it says when to retry.
        """
        self._check_room(demands, labels)
        for slot, demand in demands.items():
            if slot is not None:
                self._check_time(slot, demand, deadline, now)

    def retry_seconds(self, num_excess: int) -> float:
        """When so many rows will have left, if all that wait are served at the pace that the costs suggest."""
        num_rows = max(1, self._queues.num_rows)
        num_batches = max(len(self._queues), num_rows / self._limits.max_rows)
        seconds = self._seconds(num_batches, self._queues.num_tokens)
        seconds += len(self._queues) * self._costs.traversal_seconds
        return max(_LEAST_RETRY_SECONDS, seconds * min(1.0, num_excess / num_rows))

    def ends_at(self, slot: int, demand: Demand, now: float) -> float:
        """When the last of some rows will be computed, at the earliest, if they come now. O(slots of the lane).

        A slot that waits with more than its share of a batch needs two full ones to spare.
        """
        lane, limits = self._queues.lane_of(slot), self._limits
        num_rows = self._queues.depth(slot) + demand.num_rows
        begins_at = max(now, self._policy.busy_until) + self._policy.traversal_seconds(lane)
        if lane not in self._queues:
            num_batches = max(1.0, num_rows / limits.max_rows, demand.num_tokens / limits.max_tokens)
            return begins_at + self._seconds(num_batches, demand.num_tokens)
        queue = self._queues[lane]
        num_tokens = demand.longest + queue.tokens_before(slot, demand.num_tokens - demand.longest)
        # By the mean length of what waits.
        mean_tokens = (queue.num_tokens + demand.num_tokens) / (queue.num_rows + demand.num_rows)
        num_batches = max(1.0, num_tokens / min(limits.max_tokens, mean_tokens * limits.max_rows))
        if num_rows > queue.fair_rows(slot, limits.max_rows):
            begins_at += _SPARE_BATCHES * queue.full_batch_seconds(limits, self._costs)
        return begins_at + self._seconds(num_batches, num_tokens)

    def _check_room(self, demands: Mapping[int | None, Demand], labels: Mapping[int, str]) -> None:
        num_new = sum(demand.num_rows for demand in demands.values())
        self._check_limit("server", self._settings.max_queued_rows, self._queues.num_rows + num_new)
        for slot, demand in demands.items():
            if slot is not None:
                num_wanted = self._queues.depth(slot) + demand.num_rows
                limit = self._settings.max_queued_rows_per_adapter
                self._check_limit(labels.get(slot, str(slot)), limit, num_wanted)

    def _check_limit(self, scope: str, limit: int, num_wanted: int) -> None:
        if num_wanted > limit:
            raise QueueFullError(scope, limit, self.retry_seconds(num_wanted - limit))

    def _check_time(self, slot: int, demand: Demand, deadline: Deadline, now: float) -> None:
        if self._costs.num_measurements < _LEAST_MEASUREMENTS or self._is_surely_in_time(slot, demand, deadline, now):
            return
        ends_at = self.ends_at(slot, demand, now)
        if ends_at <= deadline.at:
            return
        if not self._queues.num_rows and self._policy.busy_until <= now:
            self._costs.doubt()
        retry_seconds = max(_LEAST_RETRY_SECONDS, ends_at - deadline.at)
        raise DeadlineExceededError(wait_seconds=ends_at - now, retry_seconds=retry_seconds)

    def _is_surely_in_time(self, slot: int, demand: Demand, deadline: Deadline, now: float) -> bool:
        """A cheap look, which lets in nearly all while there is no overload: at all of the lane that waits."""
        lane = self._queues.lane_of(slot)
        num_rows, num_tokens = demand.num_rows, demand.num_tokens
        if lane in self._queues:
            num_rows += self._queues[lane].num_rows
            num_tokens += self._queues[lane].num_tokens
        num_batches = max(num_rows / self._limits.max_rows, num_tokens / self._limits.max_tokens)
        if num_batches <= 1:
            return True
        begins_at = max(now, self._policy.busy_until) + self._policy.traversal_seconds(lane)
        num_with_spare = num_batches + _SPARE_BATCHES
        return begins_at + self._seconds(num_with_spare, num_tokens * num_with_spare / num_batches) <= deadline.at

    def _seconds(self, num_batches: float, num_tokens: float) -> float:
        return self._costs.pace * (num_batches * self._costs.batch_seconds + num_tokens * self._costs.token_seconds)
