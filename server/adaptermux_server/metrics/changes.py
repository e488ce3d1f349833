"""Loads, uploads, and what a start brought back."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from adaptermux_server.errors import AdapterMuxError, ShuttingDownError
from adaptermux_server.metrics.buckets import LONG_SECONDS


class LoadOutcome(Enum):
    """How a load ended."""

    LOADED = "loaded"
    """Under an id that nothing served."""
    REPLACED = "replaced"
    """The id serves another revision than before."""
    UNCHANGED = "unchanged"
    """The id served this content already; only its options may have changed."""
    FAILED = "failed"


class UploadOutcome(Enum):
    """How an upload ended."""

    STORED = "stored"
    KNOWN = "known"
    """The content was in the store already."""
    FAILED = "failed"
    """Refused, broken off or cancelled."""


class RestoreOutcome(Enum):
    """What a start did with an adapter that was registered before."""

    RESTORED = "restored"
    """It serves as it did."""
    CHECKED = "checked"
    """It was loaded on another base or by another version, and so is loaded anew."""
    FAILED = "failed"
    """Its content is damaged or gone."""


class ChangeMetrics(Collector):
    """Counted by those who change adapters; a collector, so that it may be made before any registry."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        self._clock = clock
        loads = Counter("adaptermux_loads", "Loads by how they ended, those of a start too", ["outcome"], registry=None)
        self._load_failures = Counter(
            "adaptermux_load_failures", "Failed loads by the reason that callers are told", ["reason"], registry=None
        )
        load_seconds = Histogram(
            "adaptermux_load_seconds",
            "Time of a load, from its claim of the id to its end",
            ["outcome"],
            registry=None,
            buckets=LONG_SECONDS,
        )
        uploads = Counter("adaptermux_uploads", "Uploads by how they ended", ["outcome"], registry=None)
        self._uploaded_bytes = Counter(
            "adaptermux_uploaded_bytes", "Bytes of contents stored by uploads", registry=None
        )
        restored = Gauge("adaptermux_restored_adapters", "What the start did with adapters", ["outcome"], registry=None)
        self._metrics = (loads, self._load_failures, load_seconds, uploads, self._uploaded_bytes, restored)
        # All from the start: a series that appears late would hide its first increase from a rate.
        self._loads = {outcome: loads.labels(outcome.value) for outcome in LoadOutcome}
        self._load_seconds = {outcome: load_seconds.labels(outcome.value) for outcome in LoadOutcome}
        self._uploads = {outcome: uploads.labels(outcome.value) for outcome in UploadOutcome}
        self._restored = {outcome: restored.labels(outcome.value) for outcome in RestoreOutcome}

    @contextmanager
    def load(self, read_current: Callable[[], object]) -> Iterator[None]:
        """Count and time a load, which is the body. `read_current`: the revision that the id serves; None: none.

        The reasons of failures are bounded: one for each class of error, INTERNAL for all that is unexpected.
        """
        before, started = read_current(), self._clock()
        try:
            yield
        except BaseException as error:
            self._load_failures.labels(_reason(error)).inc()
            self._load_ended(LoadOutcome.FAILED, started)
            raise
        self._load_ended(_outcome(before, read_current()), started)

    def upload_ended(self, outcome: UploadOutcome, num_bytes: int = 0) -> None:
        """Count an upload. `num_bytes`: of the content, if it was stored."""
        self._uploads[outcome].inc()
        self._uploaded_bytes.inc(num_bytes)

    def restored(self, outcome: RestoreOutcome) -> None:
        """Count an adapter that was registered before this start."""
        self._restored[outcome].inc()

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        for metric in self._metrics:
            yield from metric.collect()

    def _load_ended(self, outcome: LoadOutcome, started: float) -> None:
        self._loads[outcome].inc()
        self._load_seconds[outcome].observe(self._clock() - started)


def _outcome(before: object, now: object) -> LoadOutcome:
    if before is None:
        return LoadOutcome.LOADED
    return LoadOutcome.UNCHANGED if now is before else LoadOutcome.REPLACED


def _reason(error: BaseException) -> str:
    # A load is cancelled by the end of the server alone.
    if isinstance(error, asyncio.CancelledError):
        return ShuttingDownError.reason
    return error.reason if isinstance(error, AdapterMuxError) else "INTERNAL"
