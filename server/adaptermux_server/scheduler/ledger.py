"""Who is in the scheduler, and how everybody left: each row through exactly one door."""

import asyncio
from collections import Counter
from typing import Literal

from adaptermux_server.scheduler.arrivals import Arrival, ArrivalOrder
from adaptermux_server.types import BatchPlan, BatchResult, Kernel, Row, RowCounts

Outcome = Literal["answered", "failed", "cancelled", "expired"]


class Ledger:
    """Counts rows, batches and traversals since the start."""

    def __init__(self) -> None:
        self.num_batches = 0
        self.num_batched_rows = 0
        self.num_batched_adapters = 0
        self.num_traversals = 0
        self.forwards_by_kernel: Counter[Kernel] = Counter()
        self._arrivals = ArrivalOrder()
        self._present: dict[Row, Arrival] = {}
        self._counts: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def num_traversals_in_arrival_order(self) -> int:
        """Traversals that serving the same rows one by one in the order of their arrival would have made."""
        return self._arrivals.num_traversals

    def row_counts(self) -> RowCounts:
        """What became of rows so far."""
        return RowCounts(**self._counts)

    async def wait_empty(self) -> None:
        """Return once no row is present."""
        await self._empty.wait()

    def joined(self, row: Row) -> None:
        """A row was accepted."""
        self._present[row] = self._arrivals.joined(row.slot)
        self._counts["accepted"] += 1
        self._empty.clear()

    def left(self, row: Row, outcome: Outcome) -> None:
        """A row left. Raises KeyError if it isn't present: it would leave twice, which is a bug."""
        self._arrivals.left(self._present.pop(row), answered=outcome == "answered")
        self._counts[outcome] += 1
        if not self._present:
            self._empty.set()

    def rejected(self, num_rows: int) -> None:
        """Rows were refused since the queue was full."""
        self._counts["rejected"] += num_rows

    def batch_done(self, plan: BatchPlan, result: BatchResult) -> None:
        """A batch was computed."""
        self.num_batches += len(plan.forwards)
        self.num_batched_rows += len(plan.rows)
        self.num_batched_adapters += sum(len({plan.rows[i].slot for i in forward}) for forward in plan.forwards)
        self.num_traversals += result.num_traversals
        self.forwards_by_kernel.update(result.kernels)
