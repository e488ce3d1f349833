"""Records of the control plane to messages, field by field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from google.protobuf import timestamp_pb2

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.aliases import Alias
from adaptermux_server.adapters.feed import EventKind, FeedEvent
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.transport.convert import PROBLEM_TYPES, TASKS, duration
from adaptermux_server.transport.status import status_of
from adaptermux_server.types import AdapterState, BatchRecord, ExecutorKind, SchedulerStatus, Tier, TierCounts

STATES = {
    AdapterState.LOADING: adapter_admin_pb2.ADAPTER_STATE_LOADING,
    AdapterState.READY: adapter_admin_pb2.ADAPTER_STATE_READY,
    AdapterState.DRAINING: adapter_admin_pb2.ADAPTER_STATE_DRAINING,
    AdapterState.UNLOADED: adapter_admin_pb2.ADAPTER_STATE_UNLOADED,
    AdapterState.FAILED: adapter_admin_pb2.ADAPTER_STATE_FAILED,
}
EXECUTORS = {
    ExecutorKind.BANK: adapter_admin_pb2.EXECUTOR_BANK,
    ExecutorKind.SWITCH: adapter_admin_pb2.EXECUTOR_SWITCH,
}
TIERS = {
    Tier.DEVICE: adapter_admin_pb2.TIER_DEVICE,
    Tier.HOST: adapter_admin_pb2.TIER_HOST,
    Tier.DISK: adapter_admin_pb2.TIER_DISK,
}
_MAX_QUEUES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ServerPicture:
    """The server at one moment."""

    version: str
    start_time: float
    """Seconds since the epoch."""
    adapters_by_state: Mapping[AdapterState, int]
    adapter_of_slot: Mapping[int, str]
    """Ids by slot; the base's slot isn't in it."""
    scheduler: SchedulerStatus
    base_bytes: int
    adapter_bytes: int
    """Of those in the engine."""
    host_adapter_bytes: int
    store_bytes: int
    tier_limits: TierLimits
    adapters_by_tier: Mapping[Tier, int]
    tier_counts: TierCounts
    resident_bytes: int
    library_versions: Mapping[str, str]


def adapter(record: AdapterRecord) -> adapter_admin_pb2.Adapter:
    """Convert one adapter."""
    message = adapter_admin_pb2.Adapter(
        id=record.id,
        revision=record.revision,
        state=STATES[record.state],
        weight=record.weight,
        max_wait=duration(record.max_wait_seconds),
        uri=record.uri,
        load_time=_time(record.load_time),
        last_used_time=_time(record.last_used_time),
        num_rows_answered=record.num_rows_answered,
        num_in_flight=record.num_in_flight,
        error=status_of(record.error) if record.error else None,
        pinned=record.pinned,
        metadata=record.metadata,
        tier=TIERS[record.tier] if record.tier else adapter_admin_pb2.TIER_UNSPECIFIED,
        earlier_revisions=record.earlier_revisions,
    )
    if record.spec is not None:
        message.task = TASKS[record.spec.task]
        if record.spec.problem_type is not None:
            message.problem_type = PROBLEM_TYPES[record.spec.problem_type]
        message.peft_type = record.spec.peft_type
        message.rank = record.spec.rank
        message.target_modules.extend(record.spec.target_modules)
        message.labels.extend(record.spec.labels)
        message.size_bytes = record.spec.size_bytes
        message.executor = EXECUTORS[record.spec.executor]
    return message


def alias(value: Alias) -> adapter_admin_pb2.Alias:
    """Convert one alias."""
    targets = [adapter_admin_pb2.AliasTarget(adapter=target.adapter, weight=target.weight) for target in value.targets]
    return adapter_admin_pb2.Alias(name=value.name, targets=targets, update_time=_time(value.update_time))


def event(value: FeedEvent[AdapterRecord | Alias]) -> adapter_admin_pb2.WatchAdaptersResponse:
    """Convert one event of the feed."""
    response = adapter_admin_pb2.WatchAdaptersResponse(resume_token=value.token)
    match value.kind, value.value:
        case EventKind.SNAPSHOT_BEGIN, _:
            response.snapshot_begin.SetInParent()
        case EventKind.SNAPSHOT_END, _:
            response.snapshot_end.SetInParent()
        case EventKind.ADAPTER, AdapterRecord() as record:
            response.adapter.CopyFrom(adapter(record))
        case EventKind.ADAPTER, None:
            response.removed_adapter_id = value.key
        case EventKind.ALIAS, Alias() as changed:
            response.alias.CopyFrom(alias(changed))
        case EventKind.ALIAS, None:
            response.removed_alias_name = value.key
        case _:
            raise AssertionError(f"this is a bug: {value.kind} of {value.value!r}")
    return response


def batch(record: BatchRecord, epoch: float) -> adapter_admin_pb2.Batch:
    """Convert a forward. `epoch`: what is added to the record's clock for seconds since the epoch."""
    return adapter_admin_pb2.Batch(
        start_time=_time(record.started_at + epoch),
        traversal=duration(record.traversal_seconds),
        compute=duration(record.compute_seconds),
        kernel=record.kernel.value if record.kernel else "",
        num_padded_tokens=record.num_padded_tokens,
        rows=[
            adapter_admin_pb2.BatchRow(
                adapter_id=row.adapter,
                num_tokens=row.num_tokens,
                queue_wait=duration(row.queue_seconds),
                request_id=row.request_id,
            )
            for row in record.rows
        ],
    )


def server_status(picture: ServerPicture) -> adapter_admin_pb2.GetServerStatusResponse:
    """Convert the picture of the server."""
    scheduler = picture.scheduler
    return adapter_admin_pb2.GetServerStatusResponse(
        version=picture.version,
        start_time=_time(picture.start_time),
        adapters_by_state={state.value: count for state, count in picture.adapters_by_state.items()},
        queues=[
            adapter_admin_pb2.QueueStatus(
                adapter_id=picture.adapter_of_slot.get(queue.slot, ""),
                num_rows=queue.num_rows,
                oldest_wait=duration(queue.oldest_wait_seconds),
            )
            for queue in scheduler.queues[:_MAX_QUEUES_SHOWN]
        ],
        num_rows_queued=scheduler.num_rows_queued,
        rows=adapter_admin_pb2.RowCounts(**asdict(scheduler.rows)),
        num_batches=scheduler.num_batches,
        mean_batch_rows=scheduler.num_batched_rows / max(1, scheduler.num_batches),
        mean_batch_adapters=scheduler.num_batched_adapters / max(1, scheduler.num_batches),
        forwards_by_kernel={kernel.value: count for kernel, count in scheduler.forwards_by_kernel.items()},
        num_traversals=scheduler.num_traversals,
        num_traversals_in_arrival_order=scheduler.num_traversals_in_arrival_order,
        costs=adapter_admin_pb2.CostEstimates(
            traversal=duration(scheduler.costs.traversal_seconds),
            batch=duration(scheduler.costs.batch_seconds),
            token=duration(scheduler.costs.token_seconds),
        ),
        memory=adapter_admin_pb2.MemoryStatus(
            base_bytes=picture.base_bytes,
            adapter_bytes=picture.adapter_bytes,
            resident_bytes=picture.resident_bytes,
            host_adapter_bytes=picture.host_adapter_bytes,
            store_bytes=picture.store_bytes,
            adapter_bytes_limit=picture.tier_limits.device_bytes or 0,
            host_adapter_bytes_limit=picture.tier_limits.host_bytes or 0,
        ),
        adapters_by_tier={tier.value: count for tier, count in picture.adapters_by_tier.items()},
        tier_counts=adapter_admin_pb2.TierCounts(**asdict(picture.tier_counts)),
        library_versions=picture.library_versions,
    )


def _time(seconds: float | None) -> timestamp_pb2.Timestamp | None:
    if seconds is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromNanoseconds(round(seconds * 1e9))
    return message
