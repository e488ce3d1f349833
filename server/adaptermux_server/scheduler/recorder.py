"""The last forwards, for those who watch: the live page, `adaptermux top`, `adaptermux trace`.

All watchers read one log; a watcher is no more than a place in it, so a slow one costs no memory. Owned by the event
loop.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from adaptermux_server.news import News
from adaptermux_server.types import BatchPlan, BatchRecord, BatchResult, RowRecord

DEFAULT_LOG_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a watcher gets at once."""

    batches: tuple[BatchRecord, ...]
    """At least one, in the order of their ends."""
    num_missed: int
    """How many before these were forgotten unseen."""


class BatchRecorder:
    """Keeps the last forwards, and hands each watcher those that end after it began."""

    def __init__(self, log_size: int = DEFAULT_LOG_SIZE) -> None:
        self._log: deque[BatchRecord] = deque(maxlen=log_size)
        self._num_recorded = 0
        self._news = News()
        self._closed = False
        self.observers: list[Callable[[BatchRecord], None]] = []
        """Called with each forward in the step that ends it: they must be quick, and not raise."""

    @property
    def recent(self) -> tuple[BatchRecord, ...]:
        """The last forwards, oldest first."""
        return tuple(self._log)

    def record(self, batch: BatchRecord) -> None:
        """Note a forward that has ended."""
        self._log.append(batch)
        self._num_recorded += 1
        for observe in self.observers:
            observe(batch)
        self._news.tell()

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        self._news.tell()

    async def watch(self) -> AsyncGenerator[Recorded, None]:
        """Yield forwards from now on, as many at once as have ended since the last; ends with `close`."""
        seen = self._num_recorded
        while not self._closed:
            if seen == self._num_recorded:
                await self._news.wait()
                continue
            num_new = self._num_recorded - seen
            kept = tuple(self._log)[-num_new:]
            seen = self._num_recorded
            yield Recorded(kept, num_new - len(kept))


def record_of(plan: BatchPlan, result: BatchResult, started_at: float) -> BatchRecord:
    """The record of a plan of one forward. Raises ValueError for a result that doesn't fit the plan."""
    if len(result.values) != len(plan.rows):
        raise ValueError(f"{len(plan.rows)} rows were asked for and {len(result.values)} came")
    return BatchRecord(
        rows=_row_records(plan, started_at),
        started_at=started_at,
        traversal_seconds=result.traversal_seconds,
        compute_seconds=result.compute_seconds,
        kernel=result.kernels[0] if result.kernels else None,
        num_padded_tokens=plan.num_padded_tokens,
    )


def failed_record(plan: BatchPlan, started_at: float, seconds: float) -> BatchRecord:
    """The record of a plan of one forward that raised after so many seconds."""
    return BatchRecord(
        rows=_row_records(plan, started_at),
        started_at=started_at,
        traversal_seconds=0.0,
        compute_seconds=seconds,
        kernel=None,
        num_padded_tokens=plan.num_padded_tokens,
    )


def _row_records(plan: BatchPlan, started_at: float) -> tuple[RowRecord, ...]:
    return tuple(
        RowRecord(row.adapter, row.num_tokens, started_at - row.enqueued_at, row.request_id) for row in plan.rows
    )
