"""Rows by adapter, for the busiest, with a bounded number of series.

At most so many adapters are *named*: each has series of its own, and all others share those of `_other`. (No id begins
so.) Names are given to whoever comes first. At the end of each period the names of the idlest go to others that had at
least twice as many rows in it, so that a close race doesn't make new series all the time.

No counter ever goes backwards, and every row is counted in exactly one series: that of its adapter while it is named,
`_other` else. So nothing is moved between series when a name is given or taken, rates show no steps, and rates of all
series add up to that of all rows. What a taken name had counted is remembered, and goes on from there when the adapter
is named again. Only the last few times as many are remembered; beyond them counting starts at 0, as after a restart.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptermux_server.types import BatchRecord

OTHER = "_other"
BASE = "base"
DEFAULT_MAX_ADAPTERS = 100
PERIOD_SECONDS = 300.0
_REMEMBERED = 10
_LEAD = 2


@dataclass(slots=True)
class _Work:
    """What was computed for an adapter."""

    rows: int = 0
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0


_NAMES = {
    "rows": ("adaptermux_adapter_rows", "Rows computed by adapter"),
    "queue_seconds": ("adaptermux_adapter_queue_seconds", "Time that rows waited for their forwards, by adapter"),
    "compute_seconds": (
        "adaptermux_adapter_compute_seconds",
        "Time of forwards, each shared out by the tokens of its rows",
    ),
}


class AdapterCollector(Collector):
    """An observer of the scheduler's recorder."""

    def __init__(self, max_adapters: int = DEFAULT_MAX_ADAPTERS, period_seconds: float = PERIOD_SECONDS) -> None:
        """`max_adapters`: how many are named, the base not counted."""
        self._max_adapters, self._period_seconds = max_adapters, period_seconds
        self._named: dict[str, _Work] = {}
        self._taken: OrderedDict[str, _Work] = OrderedDict()
        """Names that were taken, oldest first."""
        self._base, self._other = _Work(), _Work()
        self._recent: Counter[str] = Counter()
        """Rows in this period."""
        self._period_end = 0.0

    def observe(self, batch: BatchRecord) -> None:
        """Count a forward that has ended; one that raised answered nobody."""
        if batch.kernel is None:
            return
        if batch.started_at >= self._period_end:
            self._end_period(batch.started_at)
        token_seconds = batch.compute_seconds / (batch.num_tokens or 1)
        for row in batch.rows:
            work = self._work_of(row.adapter)
            work.rows += 1
            work.queue_seconds += row.queue_seconds
            work.compute_seconds += row.num_tokens * token_seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        shown = {BASE: self._base, **self._named, OTHER: self._other}
        for field in fields(_Work):
            name, text = _NAMES[field.name]
            metric = CounterMetricFamily(name, text, labels=["adapter"])
            for adapter, work in shown.items():
                metric.add_metric([adapter], getattr(work, field.name))
            yield metric

    def _work_of(self, adapter: str) -> _Work:
        if not adapter:
            return self._base
        self._recent[adapter] += 1
        work = self._named.get(adapter)
        if work is None and len(self._named) < self._max_adapters:
            work = self._name(adapter)
        return self._other if work is None else work

    def _name(self, adapter: str) -> _Work:
        work = self._named[adapter] = self._taken.pop(adapter) if adapter in self._taken else _Work()
        return work

    def _end_period(self, now: float) -> None:
        """Let the busiest have the names of the idlest."""
        idlest = sorted(self._named, key=self._recent.__getitem__)
        busiest = (adapter for adapter, _ in self._recent.most_common() if adapter not in self._named)
        for leaver, comer in tuple(zip(idlest, busiest, strict=False)):
            if self._recent[comer] < _LEAD * max(1, self._recent[leaver]):
                break
            self._taken[leaver] = self._named.pop(leaver)
            self._name(comer)
        while len(self._taken) > _REMEMBERED * self._max_adapters:
            self._taken.popitem(last=False)
        self._recent.clear()
        self._period_end = now + self._period_seconds
