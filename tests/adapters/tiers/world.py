"""Tiers between an engine that carries out one command at a time and loads that end when they are told to."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.adapters.served import RevisionKey, ServedAdapter
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import StoreUnavailableError
from adaptermux_server.types import AdapterSpec, ExecutorKind, ProblemType, Task, Tier
from tests.adapters.fakes import FakeQueueHost

BROKEN = StoreUnavailableError("the disk is gone")


@dataclass(frozen=True)
class Prepared:
    spec: AdapterSpec
    id: str


@dataclass(frozen=True)
class _Command:
    name: str
    slot: int
    prepared: Prepared | None
    answer: "asyncio.Future[Prepared | None]"


@dataclass
class SteppedEngine:
    """Carries out commands in the order given, one at each `step`, also those whose callers are gone.

    It checks what an engine relies on: no slot is used twice, nothing exceeds the limits.
    """

    limits: TierLimits
    slots: dict[int, Prepared] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    _commands: deque[_Command] = field(default_factory=deque)
    _last_slot: int = 0

    @property
    def is_busy(self) -> bool:
        return bool(self._commands)

    async def prepare(
        self, checkpoint: Checkpoint, *, labels: tuple[str, ...], problem_type: ProblemType | None
    ) -> Prepared:
        raise NotImplementedError("loads are the world's")

    async def install(self, slot: int, prepared: Prepared) -> None:
        assert slot > self._last_slot, "a slot is given twice"
        self._last_slot = slot
        await self._give("install", slot, prepared)

    async def evict(self, slot: int) -> Prepared | None:
        return await self._give("evict", slot)

    async def remove(self, slot: int) -> None:
        await self._give("remove", slot)

    def step(self, error: Exception | None = None) -> None:
        """Carry out the next command, or fail: a slot that was to be freed is free then, too."""
        command = self._commands.popleft()
        result = self._carry_out(command, error)
        if not command.answer.done():
            if error is None:
                command.answer.set_result(result)
            else:
                command.answer.set_exception(error)

    def _carry_out(self, command: _Command, error: Exception | None) -> Prepared | None:
        here = command.prepared or self.slots[command.slot]
        self.log.append(f"{command.name} {here.id}{'' if error is None else ' failed'}")
        if command.prepared is not None:
            if error is None:
                self.slots[command.slot] = command.prepared
                self._check_limits()
            return None
        del self.slots[command.slot]
        return here if here.spec.executor is ExecutorKind.BANK else None

    def _check_limits(self) -> None:
        num_bytes = sum(prepared.spec.size_bytes for prepared in self.slots.values())
        assert self.limits.device_adapters is None or len(self.slots) <= self.limits.device_adapters
        assert self.limits.device_bytes is None or num_bytes <= self.limits.device_bytes

    async def _give(self, name: str, slot: int, prepared: Prepared | None = None) -> Prepared | None:
        command = _Command(name, slot, prepared, asyncio.get_running_loop().create_future())
        self._commands.append(command)
        return await command.answer


class Request:
    """Holds adapters from when it gets them until it is finished."""

    def __init__(self, tiers: Tiers, wanted: Sequence[ServedAdapter]) -> None:
        self.tiers, self.wanted = tiers, wanted
        self.slots: tuple[int, ...] = ()
        """While it holds them, where it found them."""
        self._finished = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    @property
    def holds(self) -> bool:
        return bool(self.slots)

    async def finish(self) -> None:
        self._finished.set()
        await self.task

    def let_go(self) -> None:
        self._finished.set()

    async def _run(self) -> None:
        with ExitStack() as leases:
            for served in self.wanted:
                leases.enter_context(served.lease())
            async with self.tiers.holding(self.wanted):
                self.slots = tuple(served.held_slot for served in self.wanted)
                try:
                    await self._finished.wait()
                finally:
                    self.slots = ()


class World:
    """Tiers with adapters `a`, `b`, `c`… of the sizes given, all on the disk at first."""

    def __init__(
        self,
        *sizes: int,
        device_adapters: int | None = None,
        device_bytes: int | None = None,
        host_bytes: int | None = None,
    ) -> None:
        limits = TierLimits(device_adapters, device_bytes, host_bytes)
        self.engine, self.queue = SteppedEngine(limits), FakeQueueHost()
        self.tiers = Tiers(self.engine, self.queue, self._load, limits)
        self.adapters = {chr(ord("a") + n): new_adapter(chr(ord("a") + n), size) for n, size in enumerate(sizes)}
        self.loads: dict[ServedAdapter, asyncio.Future[Prepared]] = {}
        """Those under way."""
        self.loaded: list[str] = []

    def __getitem__(self, name: str) -> ServedAdapter:
        return self.adapters[name]

    def ask(self, names: str) -> Request:
        """Begin a request for adapters, by their letters."""
        return Request(self.tiers, [self.adapters[name] for name in names])

    async def asked(self, names: str) -> Request:
        """A request that holds what it wants."""
        request = self.ask(names)
        await self.work()
        assert request.holds
        return request

    async def use(self, *names: str) -> None:
        """Requests, one after the other, to their ends."""
        for some in names:
            await (await self.asked(some)).finish()

    def pin(self, name: str, pinned: bool = True) -> "asyncio.Task[None]":
        """As the lifecycle does it."""
        return asyncio.create_task(self._pin(self.adapters[name], pinned))

    def finish_load(self, served: ServedAdapter, error: Exception | None = None) -> None:
        """End a load under way."""
        load = self.loads.pop(served)
        if not load.done():
            if error is None:
                load.set_result(Prepared(served.spec, served.id))
            else:
                load.set_exception(error)

    async def work(self) -> None:
        """Let engine and loads do all that they can."""
        await turns(10)
        while self.engine.is_busy or self.loads:
            for served in tuple(self.loads):
                self.finish_load(served)
            while self.engine.is_busy:
                self.engine.step()
            await turns(10)

    async def engine_works(self) -> None:
        """Let the engine do all that it can, and no load end."""
        await turns(10)
        while self.engine.is_busy:
            self.engine.step()
            await turns(10)

    def where(self) -> dict[str, Tier]:
        """The tiers that adapters are in."""
        return {name: served.tier for name, served in self.adapters.items()}

    @property
    def here(self) -> str:
        """The adapters in the engine, by letter."""
        return "".join(sorted(prepared.id for prepared in self.engine.slots.values()))

    def assert_settled(self, *others: ServedAdapter) -> None:
        """Engine, queue and books agree, and nothing is left over. `others`: adapters without a letter."""
        tiers, moves, adapters = self.tiers, self.tiers._moves, [*self.adapters.values(), *others]
        here = {served.slot: served.id for served in adapters if served.slot is not None}
        assert here == {slot: prepared.id for slot, prepared in self.engine.slots.items()}
        assert set(here) == set(self.queue.slots)
        assert (len(moves._arriving), len(moves._departing), len(moves._admitted)) == (0, 0, 0)
        assert (len(tiers._line), tiers._leaving) == (0, frozenset())
        assert [served.id for served in adapters if served.num_holds or served.num_leases] == []
        for served in adapters:
            assert (served.slot is not None) is (served in tiers._room) is (served.tier is Tier.DEVICE)
            assert (served in tiers._host) is (served.tier is Tier.HOST)
        assert tiers._room.num_bytes == sum(served.spec.size_bytes for served in adapters if served.slot is not None)
        assert tiers.host_bytes == sum(served.spec.size_bytes for served in adapters if served.tier is Tier.HOST)
        assert len(tiers._room._sizes) == len(here)
        assert self.engine.limits.host_bytes is None or tiers.host_bytes <= self.engine.limits.host_bytes

    async def _load(self, served: ServedAdapter) -> Prepared:
        self.loaded.append(served.id)
        assert served not in self.loads, "it is loaded twice at once"
        self.loads[served] = asyncio.get_running_loop().create_future()
        return await self.loads[served]

    async def _pin(self, served: ServedAdapter, pinned: bool) -> None:
        async with self.tiers.holding([served] if pinned else []):
            served.options = replace(served.options, pinned=pinned)


def new_adapter(name: str, size_bytes: int, executor: ExecutorKind = ExecutorKind.BANK) -> ServedAdapter:
    """One that isn't in memory."""
    spec = AdapterSpec(Task.FEATURE_EXTRACTION, None, (), "LORA", 2, ("query",), size_bytes, executor)
    return ServedAdapter(name, RevisionKey(name.encode().hex().rjust(64, "0")), spec, "")


NewWorld = Callable[..., World]


async def turns(count: int) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)
