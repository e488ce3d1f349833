"""From response messages of `AdapterAdmin.WatchBatches` to results."""

from datetime import UTC

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client.batch_results import BatchInfo, BatchRowInfo, WatchedBatches
from adaptermux_client.convert import seconds


def watched_batches(response: adapter_admin_pb2.WatchBatchesResponse) -> WatchedBatches:
    """One response of the watch."""
    return WatchedBatches(tuple(map(_batch, response.batches)), response.num_missed, response.num_rows_queued)


def _batch(message: adapter_admin_pb2.Batch) -> BatchInfo:
    return BatchInfo(
        start_time=message.start_time.ToDatetime(tzinfo=UTC),
        traversal_seconds=seconds(message.traversal),
        compute_seconds=seconds(message.compute),
        kernel=message.kernel,
        num_padded_tokens=message.num_padded_tokens,
        rows=tuple(map(_row, message.rows)),
    )


def _row(message: adapter_admin_pb2.BatchRow) -> BatchRowInfo:
    return BatchRowInfo(message.adapter_id, message.num_tokens, seconds(message.queue_wait), message.request_id)
