"""What forwards are made of, and how long they and their rows took."""

from prometheus_client import CollectorRegistry, Counter, Histogram

from adaptermux_server.metrics.buckets import COUNTS, SECONDS
from adaptermux_server.types import BatchRecord, Kernel

_ONE, _SEVERAL = "one", "several"
_EXECUTORS = dict.fromkeys(Kernel, "bank") | {Kernel.BASE: "base", Kernel.SWITCH: "switch"}


class ForwardMetrics:
    """An observer of the scheduler's recorder.

    A forward that raised is counted and nothing else: its rows wait on, or have failed.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._queue_seconds = Histogram(
            "adaptermux_row_queue_seconds",
            "Time of a row from joining the queue to the start of its forward",
            registry=registry,
            buckets=SECONDS,
        )
        self._rows = Histogram("adaptermux_forward_rows", "Rows in a forward", registry=registry, buckets=COUNTS)
        self._adapters = Histogram(
            "adaptermux_forward_adapters",
            "Different adapters in a forward, the base counted as one",
            registry=registry,
            buckets=COUNTS,
        )
        seconds = Histogram(
            "adaptermux_forward_seconds",
            "Time of a forward with its heads, traversal not included, by what computed it",
            ["executor"],
            registry=registry,
            buckets=SECONDS,
        )
        self._traversal_seconds = Counter("adaptermux_traversal_seconds", "Time spent on traversals", registry=registry)
        self._tokens = Counter("adaptermux_tokens", "Tokens of rows in forwards, without padding", registry=registry)
        self._padded_tokens = Counter(
            "adaptermux_padded_tokens", "Tokens computed: longest row × rows of each forward", registry=registry
        )
        failed = Counter(
            "adaptermux_failed_forwards",
            "Forwards that raised: of one adapter, whose rows failed; of several, computed once more one by one",
            ["adapters"],
            registry=registry,
        )
        # All from the start: a series that appears late would hide its first increase from a rate.
        self._seconds = {kernel: seconds.labels(executor) for kernel, executor in _EXECUTORS.items()}
        self._failed = {count: failed.labels(count) for count in (_ONE, _SEVERAL)}

    def observe(self, batch: BatchRecord) -> None:
        """Count a forward that has ended."""
        num_adapters = len({row.adapter for row in batch.rows})
        if batch.kernel is None:
            self._failed[_ONE if num_adapters == 1 else _SEVERAL].inc()
            return
        for row in batch.rows:
            self._queue_seconds.observe(row.queue_seconds)
        self._rows.observe(len(batch.rows))
        self._adapters.observe(num_adapters)
        self._seconds[batch.kernel].observe(batch.compute_seconds)
        self._traversal_seconds.inc(batch.traversal_seconds)
        self._tokens.inc(batch.num_tokens)
        self._padded_tokens.inc(batch.num_padded_tokens)
