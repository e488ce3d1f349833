"""What the registry reads of a control plane: for routers, in which tier an adapter is and who waits for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest_asyncio
from prometheus_client import CollectorRegistry

from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.observing import build_registry
from adaptermux_server.scheduler.loop import Scheduler
from tests.adapters.rig import Rig
from tests.metrics.builders import scraped
from tests.scheduler.engine import SETTINGS, FakeEngine


class Observed:
    """A control plane with room for one adapter in the engine, and its registry of metrics."""

    def __init__(self, root: Path) -> None:
        self.rig = Rig(root, TierLimits(device_adapters=1))
        scheduler = Scheduler(FakeEngine().run, SETTINGS)
        engine = cast("Any", SimpleNamespace(memory=lambda: SimpleNamespace(adapter_bytes=5)))
        self.registry: CollectorRegistry = build_registry(self.rig.control, scheduler, engine)[0]

    @property
    def for_routers(self) -> dict[str, str]:
        (labels,) = [labels for name, labels in scraped(self.registry) if name == "vllm:lora_requests_info"]
        return dict(labels)


@pytest_asyncio.fixture
async def observed(tmp_path: Path) -> AsyncIterator[Observed]:
    observed = Observed(tmp_path)
    yield observed
    await observed.rig.close()


def told(running: str = "", waiting: str = "") -> dict[str, str]:
    return {"max_lora": "1", "running_lora_adapters": running, "waiting_lora_adapters": waiting}


async def test_routers_are_told_of_the_adapters_in_the_engine(observed: Observed) -> None:
    await observed.rig.load("x", "a")
    assert told(running="x") == observed.for_routers

    await observed.rig.load("y", "b")

    assert told(running="y") == observed.for_routers


async def test_routers_are_told_of_adapters_that_requests_wait_for(observed: Observed) -> None:
    await observed.rig.load("x", "a")
    await observed.rig.load("y", "b")

    with observed.rig.registry.lease("x"):
        assert told(running="y", waiting="x") == observed.for_routers
    assert told(running="y") == observed.for_routers


async def test_routers_are_not_told_of_an_adapter_that_drains(observed: Observed) -> None:
    await observed.rig.load("x", "a")

    observed.rig.registry.begin_unload("x")

    assert told() == observed.for_routers
