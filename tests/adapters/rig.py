"""A lifecycle between fakes, on real files."""

import asyncio
from pathlib import Path
from typing import Any

from adaptermux_server.adapters.lifecycle import Lifecycle, LoadOptions
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.errors import BaseMismatchError
from tests.adapters.builders import write_adapter
from tests.adapters.fakes import FakeModelHost, FakeQueueHost

BROKEN = BaseMismatchError("encoder.weight", "has another shape")


class Rig:
    """A lifecycle between fakes, with adapters `a` and `b` (two contents) on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.registry = AdapterRegistry(clock=lambda: self.now)
        self.model = FakeModelHost()
        self.queue = FakeQueueHost()
        self.lifecycle = Lifecycle(
            self.registry, self.model, self.queue, allowed_roots=[root], default_max_wait_seconds=0.25
        )
        for seed, name in enumerate("ab"):
            write_adapter(root / name, seed=seed)

    async def load(self, adapter_id: str = "x", content: str = "a", **options: Any) -> AdapterRecord:
        return await self.lifecycle.load(LoadOptions(adapter_id, str(self.root / content), **options))

    def start(self, adapter_id: str = "x", content: str = "a", **options: Any) -> "asyncio.Task[AdapterRecord]":
        return asyncio.create_task(self.load(adapter_id, content, **options))

    def slot(self, adapter_id: str = "x") -> int:
        with self.registry.lease(adapter_id) as served:
            return served.slot

    def assert_consistent(self) -> None:
        """Model, queue and registry agree on the slots in use, and nothing is claimed for ever."""
        entries = self.registry._entries.values()
        slots = [served.slot for entry in entries for served in entry.revisions]
        assert len(set(slots)) == len(slots)
        assert set(slots) == set(self.model.slots) == set(self.queue.slots)
        assert [entry.id for entry in entries if entry.changing] == []


async def turn() -> None:
    """Let every task that can run do so up to its next wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until_settled(rig: Rig) -> None:
    """Wait for all tasks of the lifecycle."""
    while rig.lifecycle._tasks:
        await asyncio.gather(*rig.lifecycle._tasks, return_exceptions=True)
        await turn()
