"""A scheduler that runs, with an engine and a clock of ours."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import ExecutorKind
from tests.scheduler.engine import BANK, SETTINGS, Clock, FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def scheduler(engine: FakeEngine, clock: Clock) -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(engine.run, SETTINGS, clock)
    for slot in BANK:
        scheduler.configure_slot(slot, label=f"bank-{slot}", executor=ExecutorKind.BANK)
    await scheduler.start()
    yield scheduler
    await scheduler.close()
    counts = scheduler.status().rows
    assert counts.accepted == counts.answered + counts.failed + counts.cancelled + counts.expired
