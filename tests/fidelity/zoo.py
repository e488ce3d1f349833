"""Many adapters in one engine, each with what plain PEFT answers, so that any plan of rows can be checked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.engine import Engine
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, ExecutorKind, Pooling, Row, Task, Values
from tests.support.models import Columns, Reference, reference
from tests.support.popularity import POPULARITY, Spread

TOLERANCE = 1e-4
"""Of float32 values, absolute; seen are 3e-6."""

_POOLERS = {
    Pooling.MEAN: lambda hidden: hidden.mean(axis=0),
    Pooling.CLS: lambda hidden: hidden[0],
    Pooling.LAST: lambda hidden: hidden[-1],
    Pooling.MAX: lambda hidden: hidden.max(axis=0),
}


@dataclass(frozen=True)
class Exhibit:
    """An installed adapter and what it must answer to each of the zoo's rows."""

    slot: int
    task: Task
    answers: Sequence[Reference]
    executor: ExecutorKind

    def expected(self, index: int, pooling: Pooling | None) -> Values:
        answer = self.answers[index]
        return answer.values if pooling is None else _POOLERS[pooling](answer.hidden)


@dataclass(frozen=True)
class Pick:
    """One of the zoo's rows, asked of a slot, and what the answer must be."""

    slot: int
    index: int
    pooling: Pooling | None
    expected: Values


class Zoo:
    """One base, one engine, a pool of rows of many lengths."""

    def __init__(self, base: Path, engine: Engine, rows: Sequence[Columns]) -> None:
        self.base = base
        self.engine = engine
        self.rows = rows
        self.exhibits: dict[str, Exhibit] = {}
        self._next_slot = 1
        answers = reference(base, None, Task.FEATURE_EXTRACTION, rows)
        self._base = Exhibit(BASE_SLOT, Task.FEATURE_EXTRACTION, answers, ExecutorKind.BANK)

    async def admit(self, name: str, folder: Path, task: Task, num_labels: int = 3) -> Exhibit:
        prepared = await self.engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        await self.engine.install(slot, prepared)
        answers = reference(self.base, folder, task, self.rows, num_labels)
        self.exhibits[name] = Exhibit(slot, task, answers, prepared.spec.executor)
        return self.exhibits[name]

    async def dismiss(self, name: str) -> None:
        await self.engine.remove(self.exhibits.pop(name).slot)

    async def run(self, picks: Sequence["Pick"]) -> BatchResult:
        """One plan with the picked rows."""
        return await self.engine.run(plan([(pick.slot, self.rows[pick.index], pick.pooling) for pick in picks]))

    async def check(self, name: str, generator: np.random.Generator) -> None:
        """Ask an exhibit alone about random rows, some for their hidden states, and compare."""
        num_rows = int(generator.integers(1, 7))
        await self._check_picks([self._pick(name, generator) for _ in range(num_rows)])

    async def check_mixed(self, spread: Spread, num_rows: int, generator: np.random.Generator) -> BatchResult:
        """One plan over the exhibits that the bank holds, and the base, in random order; compare each row."""
        names = [None, *self.banked]
        picks = [self._pick(names[whose], generator) for whose in spread(generator, num_rows, len(names))]
        return await self._check_picks(picks)

    async def check_all(self, seed: int, num_plans: int) -> None:
        """Plans for random exhibits, in random order, and as many that mix them where they can be mixed."""
        generator = np.random.default_rng(seed)
        spreads = list(POPULARITY.values())
        for name in generator.choice(sorted(self.exhibits), num_plans):
            await self.check(name, generator)
            if self.banked:
                spread = spreads[generator.integers(len(spreads))]
                await self.check_mixed(spread, int(generator.integers(1, 13)), generator)

    async def answers(self, picks: Sequence["Pick"]) -> list[Values]:
        """What one plan of the picked rows gives."""
        return list((await self.run(picks)).values)

    @property
    def banked(self) -> list[str]:
        """Names of the exhibits that may share batches."""
        return sorted(name for name, exhibit in self.exhibits.items() if exhibit.executor is ExecutorKind.BANK)

    def pick_all(self, generator: np.random.Generator, num_rows: int) -> list["Pick"]:
        """Random rows of the base and of all exhibits that may share batches."""
        names = [None, *self.banked]
        return [self._pick(names[generator.integers(len(names))], generator) for _ in range(num_rows)]

    async def _check_picks(self, picks: Sequence["Pick"]) -> BatchResult:
        result = await self.run(picks)
        for values, pick in zip(result.values, picks, strict=True):
            assert_close(pick.expected, values)
        return result

    def _pick(self, name: str | None, generator: np.random.Generator) -> "Pick":
        """A random row of an exhibit; None: of the base, for its hidden states."""
        index = int(generator.integers(len(self.rows)))
        exhibit = self._base if name is None else self.exhibits[name]
        headed = [] if exhibit.task is Task.FEATURE_EXTRACTION else [None, None, None]
        pooling = [*headed, *Pooling][generator.integers(len(headed) + len(Pooling))]
        return Pick(exhibit.slot, index, pooling, exhibit.expected(index, pooling))

    async def check_base(self) -> None:
        """The base model itself, whatever was computed before."""
        mean = Pooling.MEAN
        await self._check_picks(
            [Pick(BASE_SLOT, index, mean, self._base.expected(index, mean)) for index in range(len(self.rows))]
        )

    def changes_answers(self, name: str) -> bool:
        """Whether an exhibit differs enough from the base for the checks to mean something."""
        answers = self.exhibits[name].answers
        return any(
            float(np.abs(answer.hidden - base.hidden).max()) > 100 * TOLERANCE
            for answer, base in zip(answers, self._base.answers, strict=True)
        )


def plan(rows: Sequence[tuple[int, Columns, Pooling | None]]) -> BatchPlan:
    """A plan of rows (slot, columns, pooling) whose futures nobody waits for."""
    return BatchPlan.at_once(Row(slot, columns, pooling, asyncio.Future()) for slot, columns, pooling in rows)


def assert_close(expected: npt.NDArray[np.float32], actual: npt.NDArray[np.float32]) -> None:
    """Equal in shape and, within the tolerance, in every value."""
    assert expected.shape == actual.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)
