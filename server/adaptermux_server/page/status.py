"""The server at one moment as JSON, for the live page: bounded, whatever the number of adapters."""

import heapq
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.transport.admin_convert import ServerPicture
from adaptermux_server.types import AdapterSpec, ModelInfo

MAX_ADAPTERS = 200
_MAX_METADATA = 8
# However many pages ask, the server is walked over once in so long.
_FRESH_SECONDS = 0.8
_REVISION_DIGITS = 8


@dataclass(frozen=True, slots=True)
class StatusSources:
    """Who is asked for the picture."""

    model: ModelInfo
    read_picture: Callable[[], ServerPicture]
    read_adapters: Callable[[], Sequence[AdapterRecord]]


class StatusHandler:
    """`GET /api/status`. `clock`: monotonic, in seconds."""

    def __init__(self, sources: StatusSources, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = sources
        self._clock = clock
        self._body = b""
        self._read_at = float("-inf")

    async def handle(self, request: web.Request) -> web.Response:
        """Answer with a picture that is at most a moment old."""
        now = self._clock()
        if now - self._read_at >= _FRESH_SECONDS:
            self._body, self._read_at = json.dumps(_read(self._sources), separators=(",", ":")).encode(), now
        return web.Response(body=self._body, content_type="application/json", charset="utf-8")


def _read(sources: StatusSources) -> dict[str, Any]:
    return {"now": time.time(), **status(sources.model, sources.read_picture(), sources.read_adapters())}


def status(model: ModelInfo, picture: ServerPicture, adapters: Sequence[AdapterRecord]) -> dict[str, Any]:
    """The picture as JSON values; of the adapters those that have most to do. Sizes in bytes, times in seconds."""
    scheduler = picture.scheduler
    queued, waits = _queues(picture)
    busiest = heapq.nsmallest(MAX_ADAPTERS, adapters, key=lambda record: _idleness(record, queued))
    return {
        "version": picture.version,
        "start_time": picture.start_time,
        "model": {"id": model.model_id, "device": model.device, "dtype": model.dtype},
        "num_adapters": len(adapters),
        "adapters_by_state": {state.value: count for state, count in picture.adapters_by_state.items()},
        "adapters_by_tier": {tier.value: count for tier, count in picture.adapters_by_tier.items()},
        "adapters": [_adapter(record, queued[record.id], waits.get(record.id, 0.0)) for record in busiest],
        "base_queued": queued[""],
        "num_rows_queued": scheduler.num_rows_queued,
        "rows": asdict(scheduler.rows),
        "num_forwards": scheduler.num_batches,
        "num_batched_rows": scheduler.num_batched_rows,
        "forwards_by_kernel": {kernel.value: count for kernel, count in scheduler.forwards_by_kernel.items()},
        "num_traversals": scheduler.num_traversals,
        "num_traversals_in_arrival_order": scheduler.num_traversals_in_arrival_order,
        "costs": asdict(scheduler.costs),
        "memory": _memory(picture),
        "tier_counts": asdict(picture.tier_counts),
        "library_versions": dict(picture.library_versions),
    }


def _queues(picture: ServerPicture) -> tuple[Counter[str], Mapping[str, float]]:
    """Rows that wait and the longest wait, by adapter; an adapter may have several revisions. Empty id: the base."""
    queued: Counter[str] = Counter()
    waits: dict[str, float] = {}
    for queue in picture.scheduler.queues:
        adapter = picture.adapter_of_slot.get(queue.slot, "")
        queued[adapter] += queue.num_rows
        waits[adapter] = max(waits.get(adapter, 0.0), queue.oldest_wait_seconds)
    return queued, waits


def _idleness(record: AdapterRecord, queued: Mapping[str, int]) -> tuple[int, int, float, str]:
    """Sorts those first that have most to do now, then those that had."""
    return (
        -queued[record.id] - record.num_in_flight,
        -record.num_rows_answered,
        -(record.last_used_time or 0),
        record.id,
    )


def _adapter(record: AdapterRecord, num_queued: int, oldest_wait_seconds: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "revision": record.revision[:_REVISION_DIGITS],
        "state": record.state.value,
        "tier": record.tier.value if record.tier else None,
        "pinned": record.pinned,
        "metadata": dict(sorted(record.metadata.items())[:_MAX_METADATA]),
        "num_rows_answered": record.num_rows_answered,
        "num_in_flight": record.num_in_flight,
        "num_queued": num_queued,
        "oldest_wait_seconds": round(oldest_wait_seconds, 4),
        **(_spec(record.spec) if record.spec else {}),
    }


def _spec(spec: AdapterSpec) -> dict[str, Any]:
    return {
        "task": spec.task.value,
        "peft_type": spec.peft_type,
        "rank": spec.rank,
        "size_bytes": spec.size_bytes,
        "executor": spec.executor.value,
    }


def _memory(picture: ServerPicture) -> dict[str, int | None]:
    limits = picture.tier_limits
    return {
        "base": picture.base_bytes,
        "adapters": picture.adapter_bytes,
        "adapters_limit": limits.device_bytes,
        "host_adapters": picture.host_adapter_bytes,
        "host_adapters_limit": limits.host_bytes,
        "store": picture.store_bytes,
        "resident": picture.resident_bytes,
    }
