"""Thousands of schedules drawn at random: whatever is asked for, cancelled, pinned, dropped and fails, in any order and
at any turn of the event loop, nobody loses what they hold, no limit is exceeded, and in the end all have their answer.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import pytest

from adaptermux_server.adapters.served import ServedAdapter, ServingOptions
from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.types import ExecutorKind
from tests.adapters.tiers.world import BROKEN, Prepared, Request, World, new_adapter, turns

_NUM_ACTIONS = 50
_SCHEDULES_PER_BLOCK = 80
_ERRORS = (BROKEN, RuntimeError("out of memory"))


@dataclass
class Machine:
    """One schedule: a world, what goes on in it, and the dice."""

    seed: int
    with_failures: bool
    requests: list[Request] = field(default_factory=list)
    others: list["asyncio.Task[None]"] = field(default_factory=list)
    """Pins, drops, new adapters and those brought up ahead."""
    gone: list[ServedAdapter] = field(default_factory=list)
    """No longer to be named."""
    pinned_here: dict[ServedAdapter, int] = field(default_factory=dict)
    dropping: set[ServedAdapter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        sizes = [self.dice.choice((1, 1, 2, 3)) for _ in range(self.dice.randint(3, 6))]
        self.world = World(
            *sizes,
            device_adapters=self.dice.choice((None, 1, 2, 3)),
            device_bytes=self.dice.choice((None, 3, 4, 6)),
            host_bytes=self.dice.choice((None, 0, 2, 4)),
        )
        for name, size in zip(self.world.adapters, sizes, strict=True):
            if not self.dice.randrange(4):
                self.world.adapters[name] = new_adapter(name, size, ExecutorKind.SWITCH)
        self._watch_refusals()
        self.num_new = 0

    async def run(self) -> None:
        """Act for a while, then let all come to its end."""
        actions = self._actions()
        for _ in range(_NUM_ACTIONS):
            self.dice.choice(actions)()
            self.check()
            for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2, 3, 8))):
                await asyncio.sleep(0)
                self.check()
        await self._come_to_an_end()
        await self._retire_all_that_is_gone()
        self.world.assert_settled(*self.gone)
        assert [served.id for served in self.gone if served in self.world.tiers._host or served.slot is not None] == []

    def check(self) -> None:
        """What holds at any time."""
        room, limits = self.world.tiers._room, self.world.tiers.limits
        for request in self.requests:
            # Their places in the engine are those that they found, and what is there is what they wanted.
            for served, slot in zip(request.wanted, request.slots, strict=False):
                assert served.slot == slot
                assert self.world.engine.slots[slot].id == served.id
        assert limits.device_adapters is None or len(room._sizes) <= limits.device_adapters
        assert limits.device_bytes is None or room.num_bytes <= limits.device_bytes
        for served, slot in self.pinned_here.items():
            assert served.slot == slot or not served.options.pinned or served in self.dropping
        self.pinned_here = {
            served: served.slot for served in self._named() if served.options.pinned and served.slot is not None
        }

    def _actions(self) -> Sequence[Callable[[], None]]:
        often = [self._ask, self._let_go, self._step, self._step, self._finish_load]
        return [
            *often,
            *often,
            self._cancel,
            self._cancel,
            self._pin,
            self._unpin,
            self._drop,
            self._admit,
            self._ahead,
        ]

    def _ask(self) -> None:
        count = self.dice.choice((1, 1, 1, 2, 2, 3))
        wanted = self.dice.choices(self._named(), k=count)
        self.requests.append(Request(self.world.tiers, wanted))

    def _let_go(self) -> None:
        if holding := [request for request in self.requests if request.holds]:
            self.dice.choice(holding).let_go()

    def _cancel(self) -> None:
        if under_way := [request for request in self.requests if not request.task.done()]:
            self.dice.choice(under_way).task.cancel()

    def _step(self) -> None:
        if self.world.engine.is_busy:
            self.world.engine.step(self._perhaps_an_error())

    def _finish_load(self) -> None:
        if self.world.loads:
            self.world.finish_load(self.dice.choice(list(self.world.loads)), self._perhaps_an_error())

    def _pin(self) -> None:
        self.others.append(self.world.pin(self.dice.choice(list(self.world.adapters))))

    def _unpin(self) -> None:
        self.others.append(self.world.pin(self.dice.choice(list(self.world.adapters)), False))

    def _drop(self) -> None:
        """Either one that may be named again, or one that is gone for good."""
        name = self.dice.choice(list(self.world.adapters))
        served = self.world.adapters[name]
        if len(self.world.adapters) > 2 and self.dice.randrange(2):
            self.gone.append(self.world.adapters.pop(name))
            served.options = ServingOptions()
        self.others.append(asyncio.create_task(self._drop_when_idle(served)))

    def _admit(self) -> None:
        self.num_new += 1
        served = new_adapter(f"new {self.num_new}", self.dice.choice((1, 2)))
        served.options = ServingOptions(pinned=not self.dice.randrange(4))
        self.others.append(asyncio.create_task(self._admit_and_publish(served)))

    def _ahead(self) -> None:
        served = self.dice.choice(self._named())
        if self.world.tiers.has_room_for(served) or self.world.tiers.next_to_leave() is not None:
            self.others.append(asyncio.create_task(self._bring_up(served)))

    def _named(self) -> list[ServedAdapter]:
        return list(self.world.adapters.values())

    async def _drop_when_idle(self, served: ServedAdapter) -> None:
        await served.wait_idle()
        self.dropping.add(served)
        try:
            await self.world.tiers.drop(served)
        finally:
            self.dropping.discard(served)

    async def _admit_and_publish(self, served: ServedAdapter) -> None:
        try:
            await self.world.tiers.admit(served, Prepared(served.spec, served.id))
        except BaseException:
            self.gone.append(served)
            served.options = ServingOptions()
            raise
        self.world.adapters[served.id] = served

    async def _bring_up(self, served: ServedAdapter) -> None:
        with served.lease():
            await self.world.tiers.bring_up(served)

    def _perhaps_an_error(self) -> Exception | None:
        return self.dice.choice(_ERRORS) if self.with_failures and not self.dice.randrange(5) else None

    def _watch_refusals(self) -> None:
        """Those are refused that don't fit beside the pinned, and nobody else: looked at in the step that decides."""
        room = self.world.tiers._room
        leavers = room.leavers

        def watched(wanted: Collection[ServedAdapter]) -> list[ServedAdapter] | None:
            found = leavers(wanted)
            assert self._fits_beside_pinned(wanted) is (found is not None)
            return found

        room.leavers = watched  # type: ignore[method-assign]

    def _fits_beside_pinned(self, wanted: Collection[ServedAdapter]) -> bool:
        room, limits = self.world.tiers._room, self.world.tiers.limits
        needed = {*wanted, *(served for served in room._sizes if served.options.pinned)}
        num_bytes = sum(served.spec.size_bytes for served in needed)
        return (limits.device_adapters is None or len(needed) <= limits.device_adapters) and (
            limits.device_bytes is None or num_bytes <= limits.device_bytes
        )

    async def _come_to_an_end(self) -> None:
        """Whatever may end does, in any order, until nothing is under way; it must not take for ever."""
        for _ in range(2000):
            if not self._under_way():
                return
            self.dice.choice((self._let_go, self._step, self._finish_load))()
            self.check()
            await asyncio.sleep(0)
            self.check()
        raise AssertionError("they wait for each other")

    def _under_way(self) -> bool:
        tasks = [*(request.task for request in self.requests), *self.others]
        return self.world.engine.is_busy or bool(self.world.loads) or not all(task.done() for task in tasks)

    async def _retire_all_that_is_gone(self) -> None:
        """Drops of them may have failed; in the end one doesn't."""
        for task in (*(request.task for request in self.requests), *self.others):
            assert task.cancelled() or task.exception() is None or self._is_expected(task.exception())
        self.with_failures = False
        for served in self.gone:
            dropping = asyncio.create_task(self.world.tiers.drop(served))
            await self.world.work()
            await dropping
        await self.world.tiers.settle()

    def _is_expected(self, error: BaseException | None) -> bool:
        return error in _ERRORS or isinstance(error, AdapterMuxError)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("with_failures", [False, True])
@pytest.mark.parametrize("block", range(4))
async def test_every_schedule_keeps_the_promises(block: int, with_failures: bool) -> None:
    """To see one again: `await Machine(seed, with_failures).run()`."""
    for seed in range(block * _SCHEDULES_PER_BLOCK, (block + 1) * _SCHEDULES_PER_BLOCK):
        tasks_before = asyncio.all_tasks()
        try:
            await Machine(seed, with_failures).run()
            await turns(3)
            assert tasks_before == asyncio.all_tasks()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
