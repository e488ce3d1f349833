"""Where adapters are: in the engine (device), ready in host memory, or in the store alone (disk).

A request holds what it needs in the engine from before its rows are queued until they are answered. Whoever finds all
of it there, or on its way there, goes on at once. Who doesn't waits in line for room, holding nothing meanwhile, and
then holds all of it in one step: so no two requests can wait for each other. Room is made by those that were used
longest ago and aren't pinned; if all are held, the longest unused take no new holds and leave when theirs end, so that
nobody starves.

What leaves the engine stays in host memory as far as that has room, else only the store has it. Owned by the event
loop.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from adaptermux_server.adapters.demand import Demand
from adaptermux_server.adapters.hosts import ModelHost, PreparedAdapter, QueueHost
from adaptermux_server.adapters.moves import Load, Move, Moves
from adaptermux_server.adapters.room import DeviceRoom, HostCache, TierLimits, can_leave
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.errors import MemoryFullError, ShuttingDownError
from adaptermux_server.tracing.calls import phase
from adaptermux_server.types import Tier, TierCounts

__all__ = ["TierLimits", "Tiers"]


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request in line for room."""

    wanted: tuple[ServedAdapter, ...]
    admitted: "asyncio.Future[Sequence[Move]]"
    """Done once it holds all of them; the moves are the arrivals that it has to wait for."""


class Tiers:
    """Decides who moves between the tiers, as requests need it."""

    def __init__(
        self, model_host: ModelHost[Any], queue_host: QueueHost, load: Load, limits: TierLimits | None = None
    ) -> None:
        """`load`: prepares an adapter from the store; what it raises, all who wait for the adapter get."""
        self.limits = limits or TierLimits()
        self._room = DeviceRoom(self.limits)
        self._host = HostCache(self.limits.host_bytes)
        self._moves = Moves(model_host, queue_host, load, room=self._room, host=self._host, ended=self._advance)
        self._line: deque[_Waiter] = deque()
        self._leaving: frozenset[ServedAdapter] = frozenset()
        """Held ones that make room for the head of the line."""
        self._counts = TierCounts()
        self._closed = False
        self.demand = Demand()
        """What requests ask for; who decides what to bring up ahead of them reads it."""

    @property
    def counts(self) -> TierCounts:
        """What happened so far."""
        return self._counts

    @property
    def host_bytes(self) -> int:
        """Tensors in host memory of adapters that aren't in the engine."""
        return self._host.num_bytes

    @asynccontextmanager
    async def holding(self, wanted: Sequence[ServedAdapter], *, asked: bool = True) -> AsyncIterator[None]:
        """Have adapters in the engine, each with its `slot`, until the context ends. Their leases are the caller's.

        `asked`: whether a request asks for them, which counts.

        Raises MemoryFullError where they can't fit beside those that are pinned, ShuttingDownError after `close`, and
        what `load` or the engine raises.
        """
        unique = tuple(dict.fromkeys(wanted))
        if asked:
            self._count(unique)
        with _bringing_up(unique):
            await self._hold(unique)
        try:
            yield
        finally:
            self._let_go(unique)

    async def admit(self, served: ServedAdapter, prepared: PreparedAdapter) -> None:
        """Put a new adapter, which is prepared, into the engine. Raises as `holding` does."""
        self._moves.offer(served, prepared)
        try:
            await self.bring_up(served)
        finally:
            self._moves.withdraw(served)

    async def bring_up(self, served: ServedAdapter) -> None:
        """Put an adapter into the engine that no request asked for. Raises as `holding` does.

        It is leased meanwhile: who unloads it waits, so that it isn't taken for gone while it arrives.
        """
        with served.lease(asked=False):
            await self._hold((served,))
            self._let_go((served,))

    def has_place(self, served: ServedAdapter) -> bool:
        """Whether an adapter is in the engine or on its way there."""
        return served in self._room

    def has_room_for(self, served: ServedAdapter) -> bool:
        """Whether an adapter could come up without anybody's having to leave or to wait."""
        return not self._line and self._room.has_room_for([served])

    def next_to_leave(self) -> ServedAdapter | None:
        """Who would leave the engine next, if somebody can without being waited for, and nobody waits for it."""
        return None if self._line else self._room.first_to_leave()

    def noted_prefetch(self) -> None:
        """Count an adapter that was brought up ahead of its requests."""
        self._counts = replace(self._counts, prefetches=self._counts.prefetches + 1)

    async def drop(self, served: ServedAdapter) -> None:
        """Take an adapter out of the engine and out of host memory, unless somebody holds it. Raises as the engine."""
        await self._moves.drop(served)
        self.demand.forget(served)

    def configure(self, served: ServedAdapter) -> None:
        """Pass an adapter's options on, if it is in the engine."""
        self._moves.configure(served)

    async def settle(self) -> None:
        """Wait for the moves under way."""
        await self._moves.settle()

    async def close(self) -> None:
        """End the moves under way; whoever waits gets ShuttingDownError."""
        self._closed = True
        while self._line:
            _fail(self._line.popleft(), ShuttingDownError())
        await self._moves.close()

    async def _hold(self, wanted: tuple[ServedAdapter, ...]) -> None:
        arrivals = self._take_holds(wanted) if self._are_here(wanted) else await self._wait_in_line(wanted)
        try:
            await asyncio.gather(*map(asyncio.shield, arrivals))
        except BaseException:
            self._let_go(wanted)
            raise

    async def _wait_in_line(self, wanted: tuple[ServedAdapter, ...]) -> Sequence[Move]:
        if self._closed:
            raise ShuttingDownError
        waiter = _Waiter(wanted, asyncio.get_running_loop().create_future())
        self._line.append(waiter)
        self._advance()
        try:
            return await waiter.admitted
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        if waiter in self._line:
            self._line.remove(waiter)
            self._advance()
        elif not waiter.admitted.cancelled() and waiter.admitted.exception() is None:
            # Admitted and cancelled in the same turn of the loop.
            self._let_go(waiter.wanted)

    def _are_here(self, wanted: Iterable[ServedAdapter]) -> bool:
        """Whether all have a place that they needn't give up."""
        return all(served in self._room and served not in self._leaving for served in wanted)

    def _take_holds(self, wanted: Sequence[ServedAdapter]) -> Sequence[Move]:
        """Returns the arrivals to wait for. There must be room."""
        arrivals = self._moves.arrivals(wanted)
        for served in wanted:
            served.num_holds += 1
            self._room.touch(served)
        return arrivals

    def _let_go(self, wanted: Iterable[ServedAdapter]) -> None:
        for served in wanted:
            served.num_holds -= 1
        self._advance()

    def _advance(self) -> None:
        """Admit from the line: its head as long as there is room, then those who need none."""
        left_before, self._leaving = self._leaving, frozenset()
        has_admitted = False
        while self._line:
            waiter = self._line[0]
            try:
                # One that was cancelled may not know of it yet.
                if not waiter.admitted.done():
                    if not self._make_room(waiter.wanted):
                        break
                    self._admit(waiter)
                    has_admitted = True
            except MemoryFullError as error:
                _fail(waiter, error)
            self._line.popleft()
        if has_admitted or left_before - self._leaving:
            self._admit_those_here()

    def _admit_those_here(self) -> None:
        for waiter in tuple(self._line):
            if self._are_here(waiter.wanted) and not waiter.admitted.done():
                self._line.remove(waiter)
                self._admit(waiter)

    def _admit(self, waiter: _Waiter) -> None:
        waiter.admitted.set_result(self._take_holds(waiter.wanted))

    def _make_room(self, wanted: Sequence[ServedAdapter]) -> bool:
        """Make room for what isn't in the engine; returns whether there is enough yet. Raises MemoryFullError."""
        leavers = self._room.leavers(wanted)
        if leavers is None:
            missing_bytes = sum(served.spec.size_bytes for served in self._room.missing(wanted))
            raise MemoryFullError(missing_bytes, self.limits.device_bytes or 0)
        for served in filter(can_leave, leavers):
            self._evict(served)
        self._leaving = frozenset(served for served in leavers if served in self._room)
        return not self._leaving

    def _evict(self, served: ServedAdapter) -> None:
        self._counts = replace(self._counts, evictions=self._counts.evictions + 1)
        self._moves.evict(served)

    def _count(self, wanted: Sequence[ServedAdapter]) -> None:
        self.demand.note(wanted, time.monotonic())
        tiers = [served.tier for served in wanted]
        self._counts = replace(
            self._counts,
            hits=self._counts.hits + tiers.count(Tier.DEVICE),
            host_misses=self._counts.host_misses + tiers.count(Tier.HOST),
            disk_misses=self._counts.disk_misses + tiers.count(Tier.DISK),
        )


def _bringing_up(wanted: Iterable[ServedAdapter]) -> AbstractContextManager[None]:
    """A phase of the call that waits for adapters outside of the engine, if some are."""
    missing = [served for served in wanted if served.tier is not Tier.DEVICE]
    if not missing:
        return nullcontext()
    tiers = sorted({served.tier.value.lower() for served in missing})
    attributes = {"adaptermux.adapters": [served.id for served in missing], "adaptermux.tiers": tiers}
    return phase("bring up", attributes)


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.admitted.done():
        waiter.admitted.set_exception(error)
