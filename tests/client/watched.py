"""Responses of `WatchBatches`, in few words."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from adaptermux.v1 import adapter_admin_pb2 as pb

EPOCH_MICROSECONDS = 1_700_000_000_000_000
"""When the server began, by its own clock."""


def row(adapter: str, num_tokens: int = 10, waited_us: int = 0, request: str = "") -> pb.BatchRow:
    """A row that waited for so many microseconds."""
    return pb.BatchRow(adapter_id=adapter, num_tokens=num_tokens, queue_wait=_duration(waited_us), request_id=request)


def batch(
    *rows: pb.BatchRow, start_us: int = 0, compute_us: int = 1000, traversal_us: int = 0, kernel: str = "uniform"
) -> pb.Batch:
    """A forward that began so many microseconds after the server."""
    start = Timestamp()
    start.FromMicroseconds(EPOCH_MICROSECONDS + start_us)
    return pb.Batch(
        start_time=start,
        traversal=_duration(traversal_us),
        compute=_duration(compute_us),
        kernel=kernel,
        num_padded_tokens=max(each.num_tokens for each in rows) * len(rows),
        rows=rows,
    )


def told(*batches: pb.Batch, queued: int = 0, missed: int = 0) -> pb.WatchBatchesResponse:
    """A response."""
    return pb.WatchBatchesResponse(batches=batches, num_rows_queued=queued, num_missed=missed)


def _duration(microseconds: int) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(microseconds)
    return duration
