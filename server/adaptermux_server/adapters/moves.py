"""Moves of adapters between the tiers, each a task of its own: those who wait for one may be cancelled, it goes on.

Owned by the event loop. The engine carries out commands in order, and each move gives its command in the order in which
the moves are begun; so room that is freed here may be given away at once.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from adaptermux_server.adapters.hosts import ModelHost, PreparedAdapter, QueueHost
from adaptermux_server.adapters.room import DeviceRoom, HostCache
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.errors import AdapterMuxError, ShuttingDownError
from adaptermux_server.tracing.calls import phase
from adaptermux_server.types import BASE_SLOT, Tier

Move = asyncio.Task[None]
Load = Callable[[ServedAdapter], Awaitable[PreparedAdapter]]
_Command = Callable[[int], Awaitable[PreparedAdapter | None]]
"""Frees a slot."""

_log = logging.getLogger(__name__)


class Moves:
    """Carries adapters into the engine and out of it, and keeps book of where they are."""

    def __init__(
        self,
        model_host: ModelHost[Any],
        queue_host: QueueHost,
        load: Load,
        *,
        room: DeviceRoom,
        host: HostCache,
        ended: Callable[[], None],
    ) -> None:
        """`load`: see `Tiers`. `ended`: called where a move may have left room for others."""
        self._model_host, self._queue_host, self._load = model_host, queue_host, load
        self._room, self._host, self._ended = room, host, ended
        self._admitted: dict[ServedAdapter, PreparedAdapter] = {}
        self._arriving: dict[ServedAdapter, Move] = {}
        self._departing: dict[ServedAdapter, Move] = {}
        self._slots = itertools.count(BASE_SLOT + 1)

    def arrivals(self, wanted: Sequence[ServedAdapter]) -> Sequence[Move]:
        """The moves into the engine that `wanted` needs; for those without a place in it they are begun."""
        for served in self._room.missing(wanted):
            self._room.put(served)
            self._arriving[served] = _spawn(self._arrive(served))
        return [self._arriving[served] for served in wanted if served in self._arriving]

    def offer(self, served: ServedAdapter, prepared: PreparedAdapter) -> None:
        """Have the arrival of a new adapter take what is prepared; the limit of the host tier doesn't concern it."""
        self._admitted[served] = prepared

    def withdraw(self, served: ServedAdapter) -> None:
        """End an offer."""
        del self._admitted[served]

    def evict(self, served: ServedAdapter) -> None:
        """Take an adapter that is in the engine, and that nobody holds, out of it into host memory."""
        self._depart(served, Tier.HOST, self._model_host.evict)

    async def drop(self, served: ServedAdapter) -> None:
        """Take an adapter out of the engine and out of host memory, unless somebody holds it. Raises as the engine."""
        while move := self._arriving.get(served) or self._departing.get(served):
            await asyncio.wait([move])
        self._host.take(served)
        if served.slot is not None and not served.num_holds:
            removal = self._depart(served, Tier.DISK, self._model_host.remove)
            self._ended()
            await asyncio.shield(removal)

    def configure(self, served: ServedAdapter) -> None:
        """Pass an adapter's options on, if it is in the engine."""
        if served.slot is not None:
            self._queue_host.configure_slot(
                served.slot,
                label=served.id,
                weight=served.options.weight,
                max_wait_seconds=served.options.max_wait_seconds,
                executor=served.spec.executor,
            )

    async def settle(self) -> None:
        """Wait for the moves under way."""
        while moves := self._under_way():
            await asyncio.wait(moves)

    async def close(self) -> None:
        """End the moves under way; whoever waits for an arrival gets ShuttingDownError."""
        # One that is cancelled before it has begun would clean up nothing.
        await asyncio.sleep(0)
        moves = self._under_way()
        for move in moves:
            move.cancel()
        await asyncio.gather(*moves, return_exceptions=True)

    def _under_way(self) -> list[Move]:
        return [*self._arriving.values(), *self._departing.values()]

    async def _arrive(self, served: ServedAdapter) -> None:
        try:
            if departure := self._departing.get(served):
                await asyncio.wait([departure])
            await self._install(served, await self._prepared(served))
        except BaseException as error:
            self._room.take(served)
            if isinstance(error, asyncio.CancelledError):
                # Only `close` cancels it: those who wait for it weren't cancelled, and need an answer.
                raise ShuttingDownError from None
            raise
        finally:
            del self._arriving[served]
            self._ended()

    async def _prepared(self, served: ServedAdapter) -> PreparedAdapter:
        return self._admitted.get(served) or self._host.get(served) or await self._load(served)

    async def _install(self, served: ServedAdapter, prepared: PreparedAdapter) -> None:
        slot = next(self._slots)
        with phase("install", {"adaptermux.adapter": served.id}):
            await self._model_host.install(slot, prepared)
        self._host.take(served)
        served.spec, served.slot, served.tier = prepared.spec, slot, Tier.DEVICE
        self._room.put(served)
        # Not before: its options may have changed meanwhile.
        self.configure(served)

    def _depart(self, served: ServedAdapter, tier: Tier, command: _Command) -> Move:
        slot, served.slot, served.tier = served.slot, None, tier
        if slot is None:
            raise AssertionError("this is a bug: it isn't in the engine")
        self._room.take(served)
        move = self._departing[served] = _spawn(self._free(served, slot, command))
        return move

    async def _free(self, served: ServedAdapter, slot: int, command: _Command) -> None:
        prepared = None
        try:
            prepared = await command(slot)
        finally:
            # After an error the slot is free as well, and only the store has the adapter.
            del self._departing[served]
            self._queue_host.forget_slot(slot)
            served.tier = Tier.DISK
            if prepared is not None:
                self._host.put(served, prepared)


def _spawn(work: Coroutine[Any, Any, None]) -> Move:
    move = asyncio.create_task(work)
    move.add_done_callback(_notice)
    return move


def _notice(move: Move) -> None:
    """Mark a failure as seen: those who wait for the move get it too, but perhaps nobody does."""
    error = None if move.cancelled() else move.exception()
    if error is not None and not isinstance(error, AdapterMuxError):
        _log.error("an adapter couldn't be moved", exc_info=error)
