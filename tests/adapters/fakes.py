"""Stand-ins for the engine and the scheduler that remember what was asked of them, and wait or fail when told to."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.types import AdapterSpec, ExecutorKind, ProblemType


@dataclass(frozen=True)
class FakePrepared:
    spec: AdapterSpec
    digest: str


class Gate:
    """A step that can be held: `entered` says that somebody is at it, `open` lets them through."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    def hold(self) -> None:
        self.open.clear()
        self.entered.clear()

    async def passing(self) -> None:
        self.entered.set()
        await self.open.wait()


@dataclass
class FakeModelHost:
    """A model whose slots are a dict; `failures` maps the name of a step to what it raises."""

    executor: ExecutorKind = ExecutorKind.BANK
    slots: dict[int, FakePrepared] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    gates: Mapping[str, Gate] = field(
        default_factory=lambda: {step: Gate() for step in ("prepare", "install", "evict", "remove")}
    )
    prepared: list[tuple[str, tuple[str, ...], ProblemType | None]] = field(default_factory=list)

    async def prepare(
        self, checkpoint: Checkpoint, *, labels: tuple[str, ...], problem_type: ProblemType | None
    ) -> FakePrepared:
        self.prepared.append((checkpoint.digest, labels, problem_type))
        await self._step("prepare")
        spec = AdapterSpec(
            task=checkpoint.task,
            problem_type=problem_type,
            labels=labels,
            peft_type=checkpoint.peft_type,
            rank=2,
            target_modules=("query",),
            size_bytes=checkpoint.num_bytes,
            executor=self.executor,
        )
        return FakePrepared(spec, checkpoint.digest)

    async def install(self, slot: int, prepared: FakePrepared) -> None:
        await self._step("install")
        assert slot not in self.slots
        self.slots[slot] = prepared

    async def evict(self, slot: int) -> FakePrepared | None:
        """After a failure, too, the slot is free."""
        await self.gates["evict"].passing()
        prepared = self.slots.pop(slot)
        self._fail_if_told("evict")
        return prepared if prepared.spec.executor is ExecutorKind.BANK else None

    async def remove(self, slot: int) -> None:
        """After a failure, too, the slot is free."""
        await self.gates["remove"].passing()
        del self.slots[slot]
        self._fail_if_told("remove")

    async def _step(self, name: str) -> None:
        await self.gates[name].passing()
        self._fail_if_told(name)

    def _fail_if_told(self, name: str) -> None:
        if name in self.failures:
            # As if it were a new one.
            raise self.failures[name].with_traceback(None)


@dataclass
class FakeQueueHost:
    """A queue that knows its slots' settings and what was failed."""

    slots: dict[int, tuple[str, float, float | None, ExecutorKind]] = field(default_factory=dict)
    failed: list[tuple[int, Exception]] = field(default_factory=list)

    def configure_slot(
        self, slot: int, *, label: str, weight: float, max_wait_seconds: float | None, executor: ExecutorKind
    ) -> None:
        self.slots[slot] = (label, weight, max_wait_seconds, executor)

    def fail_slot(self, slot: int, error: Exception) -> int:
        self.failed.append((slot, error))
        return 1

    def forget_slot(self, slot: int) -> None:
        del self.slots[slot]
