"""Forwards as a trace in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open. Pure.

Process "engine": the forwards one after the other, the traversals before them, counters. Process "adapters": on a track
of each, its part in forwards; beside it the waits of its rows. An arrow leads from the row that waited longest to the
adapter's part, and another from there to the forward. Times are microseconds since the epoch, by the server's clock.

Source: "Trace Event Format", the document of catapult; what Perfetto makes of it, its JsonTraceParser.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeAlias

from adaptermux_client.batch_results import BatchInfo, BatchRowInfo, WatchedBatches

Event: TypeAlias = dict[str, Any]

BASE_MODEL = "base model"
_ENGINE, _ADAPTERS = 1, 2
_FORWARDS: Event = {"pid": _ENGINE, "tid": 1}
_TRAVERSALS: Event = {"pid": _ENGINE, "tid": 2}
# Perfetto numbers the arrows of "s" and "f" itself, from 0 on, in one space with those of `bind_id`.
_FIRST_BIND_ID = 1 << 32
_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)


class Trace:
    """Takes what a watch tells, and gives the document."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        """`facts` are told with the trace: of which server it is, for example."""
        self.num_forwards = self.num_rows = self.num_missed = 0
        self._facts = facts
        self._names = [*_process(_ENGINE, "engine"), *_process(_ADAPTERS, "adapters")]
        self._names += [*_track(_FORWARDS, "forwards"), *_track(_TRAVERSALS, "traversals")]
        self._events: list[Event] = []
        self._tracks: dict[str, Event] = {}
        self._ids = map("0x{:x}".format, count(1))
        self._bind_ids = map("0x{:x}".format, count(_FIRST_BIND_ID))
        self._end = 0

    @property
    def num_adapters(self) -> int:
        """Those that have rows in it; the base model counts as one."""
        return len(self._tracks)

    def add(self, watched: WatchedBatches) -> None:
        """Add the next of a watch."""
        if watched.num_missed:
            self.num_missed += watched.num_missed
            self._events.append(_missed(watched.num_missed, self._begin_of(watched.batches[0])))
        for batch in watched.batches:
            self._events += self._forward(batch)
        self._events.append(_counter("queued rows", self._end, watched.num_rows_queued))

    def document(self) -> dict[str, Any]:
        """The whole as a JSON object."""
        return {"traceEvents": [*self._names, *self._events], "displayTimeUnit": "ms", "otherData": dict(self._facts)}

    def _begin_of(self, batch: BatchInfo) -> int:
        # The engine has one thread, and slices of one track that overlap can't be read. But the server's clock may be
        # set between two responses; and rounding must not make them overlap, so all is rounded down.
        return max(self._end, (batch.start_time - _EPOCH) // _MICROSECOND)

    def _forward(self, batch: BatchInfo) -> Iterator[Event]:
        begin = self._begin_of(batch)
        start = begin + _microseconds(batch.traversal_seconds)
        self._end = start + _microseconds(batch.compute_seconds)
        self.num_forwards += 1
        self.num_rows += len(batch.rows)
        if batch.traversal_seconds:
            yield _slice(_TRAVERSALS, "traversal", begin, start)
        yield _slice(_FORWARDS, batch.kernel or "failed", start, self._end) | {"args": _facts_of(batch)}
        for adapter, rows in _by_adapter(batch).items():
            yield from self._part(adapter, rows, begin, start)
        yield _counter("rows per forward", start, len(batch.rows))
        yield _counter("padding %", start, round(100 * padding_share([batch]), 1))

    def _part(self, adapter: str, rows: Sequence[BatchRowInfo], begin: int, start: int) -> Iterator[Event]:
        """An adapter's part in a forward that begins (with its traversal, if any) at `begin`."""
        track, name = self._track_of(adapter), adapter or BASE_MODEL
        from_wait, to_forward = next(self._bind_ids), next(self._ids)
        longest = max(rows, key=lambda row: row.queue_seconds)
        for row in rows:
            wait = {**track, "name": f"{name} waits", "cat": "wait", "id2": {"local": next(self._ids)}}
            began, ended = _wait(wait, row, begin)
            yield began | {"bind_id": from_wait, "flow_out": True} if row is longest else began
            yield ended
        args = {"rows": len(rows), "tokens": sum(row.num_tokens for row in rows)}
        yield _slice(track, name, start, self._end) | {"args": args, "bind_id": from_wait, "flow_in": True}
        arrow = {"name": "computed in", "cat": "flow", "id": to_forward, "ts": start}
        yield {**arrow, **track, "ph": "s"}
        yield {**arrow, **_FORWARDS, "ph": "f", "bp": "e"}

    def _track_of(self, adapter: str) -> Event:
        if adapter not in self._tracks:
            self._tracks[adapter] = {"pid": _ADAPTERS, "tid": len(self._tracks) + 1}
            self._names += _track(self._tracks[adapter], adapter or BASE_MODEL)
        return self._tracks[adapter]


def padding_share(batches: Sequence[BatchInfo]) -> float:
    """How much of what was computed was padding, from 0 to 1."""
    computed = sum(batch.num_padded_tokens for batch in batches)
    return 1 - sum(batch.num_tokens for batch in batches) / computed if computed else 0.0


def _by_adapter(batch: BatchInfo) -> dict[str, list[BatchRowInfo]]:
    found: dict[str, list[BatchRowInfo]] = {}
    for row in batch.rows:
        found.setdefault(row.adapter_id, []).append(row)
    return found


def _microseconds(seconds: float) -> int:
    return int(seconds * 1e6)


def _facts_of(batch: BatchInfo) -> dict[str, Any]:
    return {
        "rows": len(batch.rows),
        "tokens": batch.num_tokens,
        "padded_tokens": batch.num_padded_tokens,
        "adapters": {adapter or BASE_MODEL: len(rows) for adapter, rows in _by_adapter(batch).items()},
    }


def _slice(track: Event, name: str, start: int, end: int) -> Event:
    return {**track, "name": name, "cat": "forward", "ph": "X", "ts": start, "dur": end - start}


def _wait(event: Event, row: BatchRowInfo, end: int) -> tuple[Event, Event]:
    """A row's wait. Waits overlap, so they are asynchronous events and not slices of the adapter's track.

    An id of the process (`id2`), or else viewers show them outside of it.
    """
    args = {"tokens": row.num_tokens, "request": row.request_id}
    begin = end - _microseconds(row.queue_seconds)
    return {**event, "ph": "b", "ts": begin, "args": args}, {**event, "ph": "e", "ts": end}


def _counter(name: str, time: int, value: float) -> Event:
    return {"name": name, "ph": "C", **_FORWARDS, "ts": time, "args": {"value": value}}


def _missed(num_missed: int, time: int) -> Event:
    return {**_FORWARDS, "name": f"{num_missed} forwards missed", "cat": "forward", "ph": "i", "s": "t", "ts": time}


def _process(process: int, name: str) -> tuple[Event, Event]:
    """Its name, and its place among the processes."""
    event: Event = {"ph": "M", "pid": process, "tid": 1}
    return (
        {**event, "name": "process_name", "args": {"name": name}},
        {**event, "name": "process_sort_index", "args": {"sort_index": process}},
    )


def _track(track: Event, name: str) -> tuple[Event, Event]:
    """Its name, and its place among the tracks of the process."""
    return (
        {**track, "ph": "M", "name": "thread_name", "args": {"name": name}},
        {**track, "ph": "M", "name": "thread_sort_index", "args": {"sort_index": track["tid"]}},
    )
