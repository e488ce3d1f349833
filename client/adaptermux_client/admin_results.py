"""What the calls of `AdapterAdmin` return: plain frozen values, times in seconds, sizes in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from adaptermux_client.errors import AdapterMuxClientError
from adaptermux_client.results import ProblemType, Task


class AdapterState(StrEnum):
    """Where an adapter stands in its life."""

    UNSPECIFIED = "UNSPECIFIED"
    """Newer than this client."""
    LOADING = "LOADING"
    READY = "READY"
    DRAINING = "DRAINING"
    UNLOADED = "UNLOADED"
    FAILED = "FAILED"


class Executor(StrEnum):
    """What computes an adapter's rows."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not known yet, or newer than this client."""
    BANK = "BANK"
    """Its rows share batches with those of other adapters, and never cost a traversal."""
    SWITCH = "SWITCH"
    """Each batch of it is its own, and may cost a traversal."""


class Tier(StrEnum):
    """Where the tensors of an adapter are."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not known yet, or newer than this client."""
    DEVICE = "DEVICE"
    """In the engine: requests are computed at once."""
    HOST = "HOST"
    """In host memory: the first request waits some milliseconds."""
    DISK = "DISK"
    """In the server's store only: the first request waits until its files are read and checked."""


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """An adapter as the server knows it."""

    id: str
    revision: str
    """Hex sha-256 over its files; empty while LOADING, or if FAILED before they could be read."""
    state: AdapterState
    task: Task
    problem_type: ProblemType
    """UNSPECIFIED unless the task is sequence classification."""
    peft_type: str
    rank: int
    """0 where the method has none."""
    target_modules: tuple[str, ...]
    executor: Executor
    labels: tuple[str, ...]
    """In the order of the logits."""
    size_bytes: int
    weight: float
    max_wait_seconds: float | None
    pinned: bool
    """Whether it stays in the engine, come what may."""
    metadata: Mapping[str, str]
    """The operator's own notes, to filter by."""
    tier: Tier
    uri: str
    """Where it was loaded from; empty where it was loaded by its revision."""
    load_time: datetime | None
    last_used_time: datetime | None
    """None: never."""
    num_rows_answered: int
    num_in_flight: int
    error: AdapterMuxClientError | None
    """Why its last load failed: FAILED has one, and READY may, where an earlier revision serves on."""
    earlier_revisions: tuple[str, ...]
    """What served under this id before, newest first; each can be named (`id@revision`) or loaded again."""


@dataclass(frozen=True, slots=True)
class AdapterPage:
    """A part of the list of adapters; `next_page_token` is empty on the last one."""

    adapters: tuple[AdapterInfo, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class UploadedRevision:
    """A content that is in the server's store: `load_adapter(id, revision=…)` loads it."""

    revision: str
    """Hex sha-256 over its files."""
    size_bytes: int
    already_stored: bool
    """Whether it was there before."""


@dataclass(frozen=True, slots=True)
class AliasTarget:
    """An adapter that an alias stands for, and its share of requests relative to the other targets."""

    adapter: str
    """An id, or `id@revision` with the whole revision."""
    weight: int


@dataclass(frozen=True, slots=True)
class AliasInfo:
    """A name that requests may use in the place of an adapter's id."""

    name: str
    targets: tuple[AliasTarget, ...]
    update_time: datetime | None
    """When it was set."""


@dataclass(frozen=True, slots=True)
class AliasPage:
    """A part of the list of aliases; `next_page_token` is empty on the last one."""

    aliases: tuple[AliasInfo, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue of one adapter ("" is the base model)."""

    adapter_id: str
    num_rows: int
    oldest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of rows since the start of the server."""

    accepted: int
    answered: int
    failed: int
    cancelled: int
    expired: int
    rejected: int


@dataclass(frozen=True, slots=True)
class CostEstimates:
    """What the scheduler reckons with: averages of what it measured."""

    traversal_seconds: float
    batch_seconds: float
    token_seconds: float


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """Memory of the server."""

    base_bytes: int
    adapter_bytes: int
    """Tensors of the adapters in the engine."""
    resident_bytes: int
    """Of the server's process."""
    host_adapter_bytes: int
    """Tensors of the adapters in host memory, those of the engine too."""
    store_bytes: int
    """Files of all contents in the store."""
    adapter_bytes_limit: int
    """The most that `adapter_bytes` may be; 0: no bound."""
    host_adapter_bytes_limit: int
    """The most that `host_adapter_bytes` may be; 0: no bound."""


@dataclass(frozen=True, slots=True)
class TierCounts:
    """Where requests found their adapters, since the start of the server."""

    hits: int
    """In the engine."""
    host_misses: int
    disk_misses: int
    evictions: int
    """Adapters moved out of the engine to make room."""
    prefetches: int
    """Adapters brought into the engine before a request asked for them."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The server at a moment: queue, batches, traversals, memory, versions."""

    version: str
    start_time: datetime | None
    adapters_by_state: Mapping[str, int]
    adapters_by_tier: Mapping[str, int]
    """READY ones, by where they are."""
    tier_counts: TierCounts
    queues: tuple[QueueStatus, ...]
    num_rows_queued: int
    rows: RowCounts
    num_batches: int
    mean_batch_rows: float
    mean_batch_adapters: float
    """Different ones in a forward; the base model counts as one."""
    forwards_by_kernel: Mapping[str, int]
    """By how they added what adapters change, for example "uniform"; `num_batches` in all."""
    num_traversals: int
    num_traversals_in_arrival_order: int
    """What serving the same rows one by one as they came would have cost."""
    costs: CostEstimates
    memory: MemoryStatus
    library_versions: Mapping[str, str]
