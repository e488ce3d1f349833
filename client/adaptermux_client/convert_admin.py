"""From response messages of `AdapterAdmin` to results."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from adaptermux.v1 import adapter_admin_pb2, types_pb2
from adaptermux_client.admin_results import (
    AdapterInfo,
    AdapterPage,
    AdapterState,
    AliasInfo,
    AliasPage,
    AliasTarget,
    CostEstimates,
    Executor,
    MemoryStatus,
    QueueStatus,
    RowCounts,
    ServerStatus,
    Tier,
    TierCounts,
    UploadedRevision,
)
from adaptermux_client.convert import enum_member, problem_type, seconds
from adaptermux_client.errors import from_status
from adaptermux_client.results import Task


def adapter_info(message: adapter_admin_pb2.Adapter) -> AdapterInfo:
    """An adapter of any response."""
    return AdapterInfo(
        id=message.id,
        revision=message.revision,
        state=enum_member(AdapterState, adapter_admin_pb2.AdapterState.DESCRIPTOR, "ADAPTER_STATE_", message.state),
        task=enum_member(Task, types_pb2.Task.DESCRIPTOR, "TASK_", message.task),
        problem_type=problem_type(message.problem_type),
        peft_type=message.peft_type,
        rank=message.rank,
        target_modules=tuple(message.target_modules),
        executor=enum_member(Executor, adapter_admin_pb2.Executor.DESCRIPTOR, "EXECUTOR_", message.executor),
        labels=tuple(message.labels),
        size_bytes=message.size_bytes,
        weight=message.weight,
        max_wait_seconds=seconds(message.max_wait) if message.HasField("max_wait") else None,
        pinned=message.pinned,
        metadata=dict(message.metadata),
        tier=enum_member(Tier, adapter_admin_pb2.Tier.DESCRIPTOR, "TIER_", message.tier),
        uri=message.uri,
        load_time=_time(message.load_time) if message.HasField("load_time") else None,
        last_used_time=_time(message.last_used_time) if message.HasField("last_used_time") else None,
        num_rows_answered=message.num_rows_answered,
        num_in_flight=message.num_in_flight,
        error=from_status(message.error) if message.HasField("error") else None,
        earlier_revisions=tuple(message.earlier_revisions),
    )


def adapter_page(response: adapter_admin_pb2.ListAdaptersResponse) -> AdapterPage:
    """A page of `ListAdapters`."""
    return AdapterPage(tuple(map(adapter_info, response.adapters)), response.next_page_token)


def uploaded_revision(response: adapter_admin_pb2.UploadAdapterResponse) -> UploadedRevision:
    """The result of `UploadAdapter`."""
    return UploadedRevision(response.revision, response.size_bytes, response.already_stored)


def alias_info(message: adapter_admin_pb2.Alias) -> AliasInfo:
    """An alias of any response."""
    return AliasInfo(
        name=message.name,
        targets=tuple(AliasTarget(target.adapter, target.weight) for target in message.targets),
        update_time=_time(message.update_time) if message.HasField("update_time") else None,
    )


def alias_page(response: adapter_admin_pb2.ListAliasesResponse) -> AliasPage:
    """A page of `ListAliases`."""
    return AliasPage(tuple(map(alias_info, response.aliases)), response.next_page_token)


def server_status(response: adapter_admin_pb2.GetServerStatusResponse) -> ServerStatus:
    """The result of `GetServerStatus`."""
    return ServerStatus(
        version=response.version,
        start_time=_time(response.start_time) if response.HasField("start_time") else None,
        adapters_by_state=dict(response.adapters_by_state),
        adapters_by_tier=dict(response.adapters_by_tier),
        tier_counts=_tier_counts(response.tier_counts),
        queues=tuple(map(_queue, response.queues)),
        num_rows_queued=response.num_rows_queued,
        rows=_rows(response.rows),
        num_batches=response.num_batches,
        mean_batch_rows=response.mean_batch_rows,
        mean_batch_adapters=response.mean_batch_adapters,
        forwards_by_kernel=dict(response.forwards_by_kernel),
        num_traversals=response.num_traversals,
        num_traversals_in_arrival_order=response.num_traversals_in_arrival_order,
        costs=_costs(response.costs),
        memory=_memory(response.memory),
        library_versions=dict(response.library_versions),
    )


def _queue(message: adapter_admin_pb2.QueueStatus) -> QueueStatus:
    return QueueStatus(message.adapter_id, message.num_rows, seconds(message.oldest_wait))


def _rows(message: adapter_admin_pb2.RowCounts) -> RowCounts:
    return RowCounts(
        accepted=message.accepted,
        answered=message.answered,
        failed=message.failed,
        cancelled=message.cancelled,
        expired=message.expired,
        rejected=message.rejected,
    )


def _costs(message: adapter_admin_pb2.CostEstimates) -> CostEstimates:
    return CostEstimates(seconds(message.traversal), seconds(message.batch), seconds(message.token))


def _memory(message: adapter_admin_pb2.MemoryStatus) -> MemoryStatus:
    return MemoryStatus(
        base_bytes=message.base_bytes,
        adapter_bytes=message.adapter_bytes,
        resident_bytes=message.resident_bytes,
        host_adapter_bytes=message.host_adapter_bytes,
        store_bytes=message.store_bytes,
        adapter_bytes_limit=message.adapter_bytes_limit,
        host_adapter_bytes_limit=message.host_adapter_bytes_limit,
    )


def _tier_counts(message: adapter_admin_pb2.TierCounts) -> TierCounts:
    return TierCounts(
        hits=message.hits,
        host_misses=message.host_misses,
        disk_misses=message.disk_misses,
        evictions=message.evictions,
        prefetches=message.prefetches,
    )


def _time(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)
