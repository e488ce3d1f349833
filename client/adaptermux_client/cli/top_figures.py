"""What `adaptermux top` shows, as values: figures of the last seconds, out of what the server tells. Pure."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from adaptermux_client.admin_results import AdapterInfo, ServerStatus
from adaptermux_client.batch_results import BatchInfo, WatchedBatches
from adaptermux_client.cli.adapter_views import executor, tier
from adaptermux_client.cli.trace_events import padding_share

WINDOW_SECONDS = 10.0
_STRIP_LENGTH = 400
_SHORTEST = 1.0  # seconds: a rate over less says nothing


class Sort(StrEnum):
    """What the adapters are sorted by."""

    LOAD = "load"
    QUEUED = "queued"
    WAIT = "wait"
    NAME = "name"

    @property
    def next(self) -> "Sort":
        """The one after this; the first after the last."""
        members = list(Sort)
        return members[(members.index(self) + 1) % len(members)]


@dataclass(frozen=True, slots=True)
class AdapterLoad:
    """One adapter of the table."""

    id: str
    """Empty: the base model."""
    number: int
    """Which colour it has."""
    rows_per_second: float
    share: float
    """Of all rows that were computed."""
    wait_p99_seconds: float
    num_in_flight: int
    num_queued: int
    tier: str
    state: str
    executor: str


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is on the screen."""

    status: ServerStatus
    loads: tuple[AdapterLoad, ...]
    rows_per_second: float
    forwards_per_second: float
    rows_per_forward: float
    wait_p50_seconds: float
    wait_p99_seconds: float
    padding_share: float
    kernels: Mapping[str, int]
    """Forwards of the last seconds, by kernel; "" is failed ones."""
    strip: tuple[BatchInfo, ...]
    """The last forwards, oldest first, however long ago."""
    numbers: Mapping[str, int]
    """Colours by adapter, of those that have left too."""


@dataclass(slots=True)
class Window:
    """The forwards of the last seconds."""

    began: float
    """On the clock of all times that are given to it."""
    _batches: deque[tuple[float, BatchInfo]] = field(default_factory=deque)
    _strip: deque[BatchInfo] = field(default_factory=lambda: deque(maxlen=_STRIP_LENGTH))
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, watched: WatchedBatches, now: float) -> None:
        """Take what a watch told just now."""
        self._batches.extend((now, batch) for batch in watched.batches)
        self._strip.extend(watched.batches)
        self._forget(now)

    def picture(self, status: ServerStatus, adapters: Sequence[AdapterInfo], now: float) -> Picture:
        """What there is to show."""
        self._forget(now)
        batches = [batch for _, batch in self._batches]
        for adapter in (*sorted(each.id for each in adapters), *_adapters_of(batches)):
            self._numbers.setdefault(adapter, len(self._numbers))
        seconds = max(_SHORTEST, min(WINDOW_SECONDS, now - self.began))
        waits = sorted(row.queue_seconds for batch in batches for row in batch.rows)
        return Picture(
            status=status,
            loads=tuple(self._loads(status, adapters, batches, seconds)),
            rows_per_second=len(waits) / seconds,
            forwards_per_second=len(batches) / seconds,
            rows_per_forward=len(waits) / len(batches) if batches else 0.0,
            wait_p50_seconds=percentile(waits, 0.5),
            wait_p99_seconds=percentile(waits, 0.99),
            padding_share=padding_share(batches),
            kernels=Counter(batch.kernel for batch in batches),
            strip=tuple(self._strip),
            numbers=dict(self._numbers),
        )

    def _forget(self, now: float) -> None:
        while self._batches and self._batches[0][0] < now - WINDOW_SECONDS:
            self._batches.popleft()

    def _loads(
        self, status: ServerStatus, adapters: Sequence[AdapterInfo], batches: Sequence[BatchInfo], seconds: float
    ) -> Iterator[AdapterLoad]:
        waits: dict[str, list[float]] = {"": []}
        for batch in batches:
            for row in batch.rows:
                waits.setdefault(row.adapter_id, []).append(row.queue_seconds)
        num_rows = sum(map(len, waits.values()))
        queued = {queue.adapter_id: queue.num_rows for queue in status.queues}
        known = {adapter.id: adapter for adapter in adapters}
        for name in known | waits:
            found, adapter = sorted(waits.get(name, ())), known.get(name)
            yield AdapterLoad(
                id=name,
                number=self._numbers.setdefault(name, len(self._numbers)),
                rows_per_second=len(found) / seconds,
                share=len(found) / num_rows if num_rows else 0.0,
                wait_p99_seconds=percentile(found, 0.99),
                num_in_flight=adapter.num_in_flight if adapter else 0,
                num_queued=queued.get(name, 0),
                tier=tier(adapter).removesuffix(" pinned") if adapter else "",
                state=_state(name, adapter),
                executor=executor(adapter) if adapter else "",
            )


def sorted_loads(loads: Sequence[AdapterLoad], by: Sort) -> list[AdapterLoad]:
    """The adapters in the order of the table: the largest first, and by name among equals."""
    return sorted(loads, key=lambda load: (-_amount(load, by), load.id))


def _amount(load: AdapterLoad, by: Sort) -> float:
    match by:
        case Sort.LOAD:
            return load.rows_per_second
        case Sort.QUEUED:
            return load.num_queued
        case Sort.WAIT:
            return load.wait_p99_seconds
        case Sort.NAME:
            return 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Of sorted values, the smallest that at least this share of them don't exceed; 0 of none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _adapters_of(batches: Sequence[BatchInfo]) -> list[str]:
    return [row.adapter_id for batch in batches for row in batch.rows]


def _state(name: str, adapter: AdapterInfo | None) -> str:
    if adapter:
        return adapter.state
    return "gone" if name else ""
