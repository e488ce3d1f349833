"""The vocabulary that all packages share: plain values, no behaviour that needs torch or gRPC."""

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from opentelemetry.trace import Span

BASE_SLOT = 0
"""The slot of the base model itself: always there, never costs a traversal."""

Values = npt.NDArray[np.float32]
"""What a row yields, by what was asked of it; `tokens` counts special tokens, never padding.

pooled hidden states      [hidden]
sequence classification   [labels]
token classification      [tokens, labels]
question answering        [2, tokens]: start logits, end logits
"""


class Task(Enum):
    """What an adapter's head computes."""

    SEQUENCE_CLASSIFICATION = "sequence classification"
    TOKEN_CLASSIFICATION = "token classification"
    QUESTION_ANSWERING = "question answering"
    FEATURE_EXTRACTION = "feature extraction"


class ProblemType(Enum):
    """How the logits of sequence classification become scores; the values are transformers' names."""

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"


class ExecutorKind(Enum):
    """What computes an adapter's rows."""

    BANK = "bank"
    """One forward holds rows of many adapters; nothing is ever switched."""
    SWITCH = "switch"
    """A PEFT module tree with one active adapter: for methods that don't fit the bank's form."""


class Kernel(Enum):
    """How a forward added what its adapters change."""

    BASE = "base"
    """Nothing to add: rows of the base model alone."""
    UNIFORM = "uniform"
    """All its adapted rows are of one adapter: plain matrix products."""
    SEGMENTS = "segments"
    """One adapter after the other, each with plain matrix products over its rows."""
    GATHERED = "gathered"
    """A copy of its adapter's weights for each row, then batched products."""
    SWITCH = "switch"
    """By a PEFT module tree."""


class Pooling(Enum):
    """How the last hidden states of a row become one vector; padding never takes part."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    MAX = "max"


class AdapterState(Enum):
    """Where an adapter stands in its life: LOADING → READY → DRAINING → UNLOADED, or FAILED."""

    LOADING = "LOADING"
    READY = "READY"
    DRAINING = "DRAINING"
    UNLOADED = "UNLOADED"
    FAILED = "FAILED"


class Tier(Enum):
    """Where an adapter's tensors are."""

    DEVICE = "DEVICE"
    """In the engine."""
    HOST = "HOST"
    """In host memory, ready for the engine."""
    DISK = "DISK"
    """In the store alone."""


@dataclass(frozen=True, slots=True)
class TierCounts:
    """Where requests found their adapters, and what was moved, since the start."""

    hits: int = 0
    """In the engine."""
    host_misses: int = 0
    disk_misses: int = 0
    evictions: int = 0
    """Out of the engine, to make room."""
    prefetches: int = 0
    """Into the engine, before a request asked."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time (of the given monotonic clock) by which an answer is of use; infinite: there is none."""

    at: float = math.inf

    @classmethod
    def after(cls, seconds: float | None, now: float | None = None) -> "Deadline":
        """The deadline `seconds` from `now` (None: from the monotonic clock); never, where `seconds` is None."""
        if seconds is None:
            return cls()
        return cls((time.monotonic() if now is None else now) + seconds)


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """What a checked adapter is: facts from its files, for listings and for post-processing."""

    task: Task
    problem_type: ProblemType | None
    """Set for sequence classification alone."""
    labels: tuple[str, ...]
    """In the order of the logits; empty for feature extraction and question answering."""
    peft_type: str
    rank: int
    """0 where the method has none."""
    target_modules: tuple[str, ...]
    """Names within the base model, sorted."""
    size_bytes: int
    """Of the adapter's tensors in memory."""
    executor: ExecutorKind


@dataclass(frozen=True, slots=True)
class RowRecord:
    """What is told of one row of a forward."""

    adapter: str
    """Its id; empty: the base."""
    num_tokens: int
    queue_seconds: float
    """From joining the queue to the start of the forward."""
    request_id: str


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One forward as it was computed; shared by the answers of all its rows."""

    rows: tuple[RowRecord, ...]
    started_at: float
    """On the scheduler's clock."""
    traversal_seconds: float
    """Spent before the forward; 0: there was no traversal."""
    compute_seconds: float
    """The forward with its heads; of a failed one, until it raised."""
    kernel: Kernel | None
    """None: it failed."""
    num_padded_tokens: int
    """Longest row × rows."""

    @property
    def num_tokens(self) -> int:
        """Without padding."""
        return sum(row.num_tokens for row in self.rows)


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """How one row ended well."""

    values: Values
    queue_seconds: float
    """From joining the queue to the start of the batch."""
    batch: BatchRecord


@dataclass(eq=False, slots=True)
class Row:
    """One sequence for one adapter: the unit that the scheduler orders and the engine computes.

    It carries all that is needed to answer it. Its future is set exactly once: answered, failed, cancelled or expired.
    """

    slot: int
    columns: Mapping[str, tuple[int, ...]]
    """What the tokenizer made, by name (`input_ids`, `token_type_ids`…), each [tokens]; no attention mask."""
    pooling: Pooling | None
    """None: through the adapter's head."""
    future: "asyncio.Future[RowAnswer]"
    deadline: Deadline = field(default_factory=Deadline)
    adapter: str = ""
    """Id of the adapter, for records; the slot decides."""
    request_id: str = ""
    """Of the call that it belongs to, for records."""
    span: "Span | None" = None
    """Of that call; None: it isn't traced."""
    enqueued_at: float = 0.0
    """Set by the queue."""

    @property
    def num_tokens(self) -> int:
        """Length of the sequence, special tokens included."""
        return len(self.columns["input_ids"])


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What the engine computes in one go: rows in the order in which their values are wanted.

    Rows of slots in the bank, and of the base, may stand side by side; those of a slot outside of it are alone. Rows of
    like length share a forward, so that little is padded; each row is in exactly one.
    """

    rows: tuple[Row, ...]
    forwards: tuple[tuple[int, ...], ...]
    """Positions in `rows`, by forward."""

    @classmethod
    def at_once(cls, rows: Iterable[Row]) -> "BatchPlan":
        """A plan of a single forward."""
        rows = tuple(rows)
        return cls(rows, (tuple(range(len(rows))),))

    @property
    def num_padded_tokens(self) -> int:
        """Tokens that are computed: longest row × rows, added up over the forwards."""
        return sum(max(self.rows[i].num_tokens for i in forward) * len(forward) for forward in self.forwards)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What the engine gives back for a plan."""

    values: tuple[Values, ...]
    """One for each row of the plan, in order."""
    num_traversals: int
    """Walks over the model that were needed to activate a slot: 0 or 1, and 0 in the bank."""
    traversal_seconds: float
    compute_seconds: float
    """The forwards with their heads, traversal not included."""
    resident_slots: frozenset[int]
    """Slots outside of the bank that would need no traversal now, and BASE_SLOT."""
    kernels: tuple[Kernel, ...]
    """One for each forward."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The base model and where it computes."""

    model_id: str
    """The operator's name for it, never a path."""
    architecture: str
    dtype: str
    device: str
    hidden_size: int
    max_tokens: int
    """Of a sequence, special tokens included."""
    vocab_size: int
    num_parameters: int
    base_bytes: int
    """Of its tensors in memory."""
    peft_types: tuple[str, ...]
    """PEFT methods whose adapters can be served, by PEFT's names."""


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Rows that wait for one slot."""

    slot: int
    num_rows: int
    oldest_wait_seconds: float


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What became of rows since the start; each accepted row ends in exactly one of the next four."""

    accepted: int = 0
    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    rejected: int = 0
    """Never accepted: there was no room, or the wait was longer than their deadlines allow."""


@dataclass(frozen=True, slots=True)
class CostEstimates:
    """What the scheduler reckons with, in seconds."""

    traversal_seconds: float
    batch_seconds: float
    """The fixed part of a batch."""
    token_seconds: float
    """For each padded token."""


@dataclass(frozen=True, slots=True)
class SchedulerStatus:
    """A picture of the scheduler at one moment."""

    queues: tuple[QueueDepth, ...]
    """Those that aren't empty, longest first."""
    rows: RowCounts
    num_batches: int
    num_batched_rows: int
    num_traversals: int
    num_traversals_in_arrival_order: int
    num_batched_adapters: int
    """Different slots in each forward, added up over the forwards."""
    forwards_by_kernel: Mapping[Kernel, int]
    costs: CostEstimates

    @property
    def num_rows_queued(self) -> int:
        """Rows waiting, in all queues."""
        return sum(queue.num_rows for queue in self.queues)
