"""What the scheduler tells, for tests of those who show it."""

from dataclasses import replace
from typing import Any

from adaptermux_server.types import CostEstimates, RowCounts, SchedulerStatus

_NOTHING_YET = SchedulerStatus(
    queues=(),
    rows=RowCounts(),
    num_batches=0,
    num_batched_rows=0,
    num_traversals=0,
    num_traversals_in_arrival_order=0,
    num_batched_adapters=0,
    forwards_by_kernel={},
    costs=CostEstimates(0.0, 0.0, 0.0),
)


def scheduler_status(**fields: Any) -> SchedulerStatus:
    """A scheduler that has done nothing but what `fields` say."""
    return replace(_NOTHING_YET, **fields)
