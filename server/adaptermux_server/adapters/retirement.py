"""Taking revisions out of memory after their last request."""

import asyncio

from adaptermux_server.adapters.entry import AdapterEntry
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.adapters.tasks import Tasks
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import DrainTimeoutError


class Retirement:
    """Waits until nobody uses a revision, and frees it; a revision is freed once, however often it is asked for."""

    def __init__(self, registry: AdapterRegistry, tiers: Tiers, tasks: Tasks) -> None:
        self._registry, self._tiers, self._tasks = registry, tiers, tasks
        self._under_way: dict[ServedAdapter, asyncio.Task[None]] = {}

    def begin(self, served: ServedAdapter) -> "asyncio.Task[None]":
        """Free a revision after its last request. Whoever may still name it brings it up again."""
        task = self._under_way.get(served)
        if task is None:
            task = self._under_way[served] = self._tasks.spawn(self._free(served))
        return task

    async def drain(self, entry: AdapterEntry, timeout_seconds: float) -> None:
        """Free all revisions of an id that takes no new requests. Raises DrainTimeoutError."""
        tasks = [self.begin(served) for served in entry.revisions]
        if not tasks:
            return
        done, pending = await asyncio.wait(tasks, timeout=timeout_seconds)
        for task in done:
            task.result()
        if pending:
            raise DrainTimeoutError(entry.id, entry.num_in_flight)

    async def _free(self, served: ServedAdapter) -> None:
        try:
            await served.wait_idle()
            await self._tiers.drop(served)
            self._registry.release(served)
        finally:
            # In the step in which it ends, not after it: who asks from now on must get a new try.
            del self._under_way[served]
