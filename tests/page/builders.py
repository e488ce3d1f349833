"""A page over made-up facts: any picture of a server, any forwards, at once."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from prometheus_client import CollectorRegistry, Gauge

from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.page.application import LiveSources, build_application
from adaptermux_server.page.server import serving_http
from adaptermux_server.page.status import StatusSources
from adaptermux_server.scheduler.recorder import BatchRecorder
from adaptermux_server.transport.admin_convert import ServerPicture
from adaptermux_server.types import (
    AdapterSpec,
    AdapterState,
    BatchRecord,
    ExecutorKind,
    Kernel,
    ModelInfo,
    QueueDepth,
    RowRecord,
    Task,
    Tier,
    TierCounts,
)
from tests.transport.builders import scheduler_status

MODEL = ModelInfo("a-base", "BertModel", "float32", "cpu", 32, 48, 100, 1000, 4000, ("LORA",))
SPEC = AdapterSpec(Task.SEQUENCE_CLASSIFICATION, None, ("a", "b"), "LORA", 4, ("query",), 2048, ExecutorKind.BANK)


def adapter(adapter_id: str, **fields: Any) -> AdapterRecord:
    """An adapter that serves."""
    usual = {"state": AdapterState.READY, "uri": "file:///srv/secret-folder", "revision": "ab" * 32, "spec": SPEC}
    return AdapterRecord(adapter_id, **{**usual, "tier": Tier.DEVICE, **fields})


def picture(
    queues: Sequence[QueueDepth] = (), adapter_of_slot: Mapping[int, str] | None = None, start_time: float = 1e9
) -> ServerPicture:
    """A server in which nothing but `queues` waits."""
    return ServerPicture(
        version="1.2.3",
        start_time=start_time,
        adapters_by_state={AdapterState.READY: 3},
        adapter_of_slot=adapter_of_slot or {},
        scheduler=scheduler_status(queues=tuple(queues)),
        base_bytes=1 << 20,
        adapter_bytes=4096,
        host_adapter_bytes=0,
        store_bytes=0,
        tier_limits=TierLimits(None, None, None),
        adapters_by_tier={Tier.DEVICE: 3},
        tier_counts=TierCounts(),
        resident_bytes=1 << 28,
        library_versions={"torch": "2"},
    )


def forward(*adapters: str, started_at: float | None = None, request_id: str = "") -> BatchRecord:
    """A forward of a row for each of `adapters`, which ends about now."""
    return BatchRecord(
        rows=tuple(RowRecord(each, 5, 0.25, request_id) for each in adapters),
        started_at=time.monotonic() - 0.05 if started_at is None else started_at,
        traversal_seconds=0.0,
        compute_seconds=0.05,
        kernel=Kernel.GATHERED,
        num_padded_tokens=8 * len(adapters),
    )


@dataclass
class Facts:
    """What the page is told; a test may change it."""

    adapters: Sequence[AdapterRecord] = ()
    read_picture: Callable[[], ServerPicture] = picture
    ready: bool = True
    recorder: BatchRecorder = field(default_factory=BatchRecorder)

    def live(self) -> LiveSources:
        """As the page asks for them."""
        return LiveSources(StatusSources(MODEL, self._read_picture, lambda: self.adapters), self.recorder)

    def _read_picture(self) -> ServerPicture:
        return self.read_picture()


@asynccontextmanager
async def page(facts: Facts, *, live: bool = True, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve; gives the URL without a slash at its end."""
    registry = CollectorRegistry()
    Gauge("made_up", "A figure", registry=registry).set(7)
    application = build_application(registry, lambda: facts.ready, facts.live() if live else None)
    async with serving_http(address, application) as bound:
        yield f"http://{bound}"


async def next_frame(response: ClientResponse) -> dict[str, Any]:
    """The next event of a stream of events; signs of life are passed over."""
    async for line in response.content:
        if line.startswith(b"data: "):
            told: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return told
    raise EOFError("the stream has ended")
