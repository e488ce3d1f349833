"""Many adapters in one engine, each with what plain PEFT answers, so that any plan of rows can be checked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.engine import Engine
from adaptermux_server.types import BatchPlan, BatchResult, Pooling, Row, Task, Values
from tests.support.models import Columns, Reference, reference

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

    def expected(self, index: int, pooling: Pooling | None) -> Values:
        answer = self.answers[index]
        return answer.values if pooling is None else _POOLERS[pooling](answer.hidden)


class Zoo:
    """One base, one engine, a pool of rows of many lengths."""

    def __init__(self, base: Path, engine: Engine, rows: Sequence[Columns]) -> None:
        self.base = base
        self.engine = engine
        self.rows = rows
        self.exhibits: dict[str, Exhibit] = {}
        self._next_slot = 1
        self._base_hidden = reference(base, None, Task.FEATURE_EXTRACTION, rows)

    async def admit(self, name: str, folder: Path, task: Task, num_labels: int = 3) -> Exhibit:
        prepared = await self.engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)
        slot, self._next_slot = self._next_slot, self._next_slot + 1
        await self.engine.install(slot, prepared)
        answers = reference(self.base, folder, task, self.rows, num_labels)
        self.exhibits[name] = Exhibit(slot, task, answers)
        return self.exhibits[name]

    async def dismiss(self, name: str) -> None:
        await self.engine.remove(self.exhibits.pop(name).slot)

    async def run(self, slot: int, picks: Sequence[tuple[int, Pooling | None]]) -> BatchResult:
        """One plan with the picked rows, each (index, pooling)."""
        return await self.engine.run(plan(slot, [(self.rows[index], pooling) for index, pooling in picks]))

    async def check(self, name: str, generator: np.random.Generator) -> None:
        """Ask an exhibit about random rows, some for their hidden states, and compare."""
        exhibit = self.exhibits[name]
        picks = _picks(generator, len(self.rows), exhibit.task)
        result = await self.run(exhibit.slot, picks)
        for values, (index, pooling) in zip(result.values, picks, strict=True):
            assert_close(exhibit.expected(index, pooling), values)

    async def check_all(self, seed: int, num_plans: int) -> None:
        """Plans for random exhibits, in random order."""
        generator = np.random.default_rng(seed)
        for name in generator.choice(sorted(self.exhibits), num_plans):
            await self.check(name, generator)

    async def check_base(self) -> None:
        """The base model itself, whatever was computed before."""
        picks = [(index, Pooling.MEAN) for index in range(len(self.rows))]
        result = await self.run(0, picks)
        for values, (index, _) in zip(result.values, picks, strict=True):
            assert_close(self._base_hidden[index].hidden.mean(axis=0), values)

    def changes_answers(self, name: str) -> bool:
        """Whether an exhibit differs enough from the base for the checks to mean something."""
        answers = self.exhibits[name].answers
        return any(
            float(np.abs(answer.hidden - base.hidden).max()) > 100 * TOLERANCE
            for answer, base in zip(answers, self._base_hidden, strict=True)
        )


def plan(slot: int, rows: Sequence[tuple[Columns, Pooling | None]]) -> BatchPlan:
    """A plan of rows whose futures nobody waits for."""
    return BatchPlan.at_once(slot, (Row(slot, columns, pooling, asyncio.Future()) for columns, pooling in rows))


def assert_close(expected: npt.NDArray[np.float32], actual: npt.NDArray[np.float32]) -> None:
    """Equal in shape and, within the tolerance, in every value."""
    assert expected.shape == actual.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


def _picks(generator: np.random.Generator, num_rows: int, task: Task) -> list[tuple[int, Pooling | None]]:
    choices = [*Pooling] if task is Task.FEATURE_EXTRACTION else [None, None, None, *Pooling]
    indices = generator.integers(num_rows, size=generator.integers(1, 7))
    return [(int(index), choices[generator.integers(len(choices))]) for index in indices]
