"""What a watch of forwards tells: plain frozen values, times in seconds."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BatchRowInfo:
    """A row (one input for one adapter) of a forward."""

    adapter_id: str
    """Empty: the base model."""
    num_tokens: int
    """Its length, special tokens included."""
    queue_seconds: float
    """How long it waited in the queue."""
    request_id: str
    """Of the request that it belongs to."""


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """One forward as the engine computed it."""

    start_time: datetime
    """When the engine was given it, by the server's clock; its traversal comes first, then the forward."""
    traversal_seconds: float
    """0: there was none."""
    compute_seconds: float
    """The forward with its heads."""
    kernel: str
    """How it added what its adapters change, for example "uniform"; empty: it failed."""
    num_padded_tokens: int
    """Tokens that were computed, with padding: longest row × rows."""
    rows: tuple[BatchRowInfo, ...]

    @property
    def num_tokens(self) -> int:
        """Without padding."""
        return sum(row.num_tokens for row in self.rows)


@dataclass(frozen=True, slots=True)
class WatchedBatches:
    """What a watch tells at once."""

    batches: tuple[BatchInfo, ...]
    """At least one, in the order of their ends."""
    num_missed: int
    """Forwards before these that the caller was too slow for."""
    num_rows_queued: int
    """Rows waiting now, in all queues."""
