"""What is done beside requests, little by little: adapters brought up ahead of their requests, old contents removed."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from itertools import islice

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.adapters.tasks import Tasks
from adaptermux_server.adapters.tiers import Tiers

_PREFETCH_SECONDS = 0.5
_MAX_PREFETCHES = 4
"""In one round."""
_MIN_ADVANTAGE = 2.0
"""How much more an adapter must be asked for than the one that would leave for it, so that they don't take turns."""
_WARM_SHARE = 1 / 3
"""Of the time, for bringing up adapters that nobody asked for yet."""
_SWEEP_SECONDS = 3600.0
_log = logging.getLogger(__name__)


class Upkeep:
    """Runs until it is closed."""

    def __init__(
        self,
        registry: AdapterRegistry,
        tiers: Tiers,
        catalog: Catalog,
        keep_unused_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`keep_unused_seconds`: how long a content stays that no adapter has or had. `clock`: since the epoch."""
        self._registry, self._tiers, self._catalog = registry, tiers, catalog
        self._keep_unused_seconds = keep_unused_seconds
        self._clock = clock
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin."""
        for work in (self._prefetch(), self._warm(), self._sweep()):
            self._tasks.spawn(work)

    async def close(self) -> None:
        """End."""
        await self._tasks.close()

    async def prefetch_once(self) -> int:
        """Bring up those asked for most that aren't in the engine; returns how many were."""
        num_moved = 0
        for served in self._most_wanted():
            if not self._is_worth_it(served):
                break
            # Meanwhile a request may have asked for it.
            if not self._tiers.has_place(served) and await self._bring_up(served):
                self._tiers.noted_prefetch()
                num_moved += 1
        return num_moved

    async def sweep_once(self) -> int:
        """Remove contents that nobody needs any more; returns how many were."""
        return await self._catalog.collect_older(self._clock() - self._keep_unused_seconds)

    async def _prefetch(self) -> None:
        while True:
            await asyncio.sleep(_PREFETCH_SECONDS)
            await self.prefetch_once()

    async def _warm(self) -> None:
        """After a start: fill the room that there is, a little at a time, so that requests hardly notice."""
        for served in self._cold():
            if not self._tiers.has_room_for(served):
                return
            started = time.perf_counter()
            await self._bring_up(served)
            await asyncio.sleep((time.perf_counter() - started) * (1 / _WARM_SHARE - 1))

    async def _sweep(self) -> None:
        while True:
            try:
                if num_removed := await self.sweep_once():
                    _log.info("%d contents that no adapter had were removed from the store", num_removed)
            except Exception as error:  # whatever it was, the next round may do better
                _log.warning("unused contents stay in the store for now", exc_info=error)
            await asyncio.sleep(_SWEEP_SECONDS)

    def _cold(self) -> Iterator[ServedAdapter]:
        """Those that serve now, each looked at when its turn comes."""
        for entry in self._registry.entries():
            current = entry.current
            if current is not None and self._registry.serves(current) and not self._tiers.has_place(current):
                yield current

    def _most_wanted(self) -> list[ServedAdapter]:
        self._tiers.demand.forget_faded(time.monotonic())
        known = self._tiers.demand.known()
        cold = (served for served in known if not self._tiers.has_place(served) and self._registry.serves(served))
        return list(islice(cold, _MAX_PREFETCHES))

    def _is_worth_it(self, served: ServedAdapter) -> bool:
        if self._tiers.has_room_for(served):
            return True
        leaver, now = self._tiers.next_to_leave(), time.monotonic()
        if leaver is None:
            return False
        return self._tiers.demand.of(served, now) > _MIN_ADVANTAGE * self._tiers.demand.of(leaver, now)

    async def _bring_up(self, served: ServedAdapter) -> bool:
        if not self._registry.serves(served):
            return False
        try:
            await self._tiers.bring_up(served)
        except Exception as error:  # one that can't be moved, for whatever reason, mustn't end the rounds
            _log.info("adapter %s wasn't brought up ahead of its requests: %s", served.id, error)
            self._tiers.demand.forget(served)
            return False
        return True
