"""The bare base model in a process of its own (see `bare_base`), which computes the same texts again and again."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adapters import BASE_FOLDER

_BATCH_ROWS = (8, 16, 32, 64)
_NUM_TRIED = 128
"""Texts with which the sizes are compared."""


@dataclass(frozen=True, slots=True)
class BaseRound:
    """What one turn took."""

    num_rows: int
    seconds: float
    cpu_seconds: float

    @property
    def rows_per_second(self) -> float:
        """Throughput."""
        return self.num_rows / self.seconds


@dataclass(frozen=True, slots=True)
class BareBase:
    """The process, and what to ask it."""

    process: asyncio.subprocess.Process
    texts: Sequence[str]
    window_rows: int
    """The neighbours that are sorted by length before they are divided into batches."""
    batch_rows: int

    async def turn(self) -> BaseRound:
        """Compute all texts."""
        assert self.process.stdin is not None, "this is a bug: standard input was asked for"
        assert self.process.stdout is not None, "this is a bug: standard output was asked for"
        line = json.dumps({"texts": self.texts, "window_rows": self.window_rows, "batch_rows": self.batch_rows})
        self.process.stdin.write(line.encode() + b"\n")
        return BaseRound(len(self.texts), **json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def bare_base(
    texts: Sequence[str], windows_rows: Sequence[int], base: Path = BASE_FOLDER
) -> AsyncIterator[list[BareBase]]:
    """Run it until the end of the context; for each size of windows, with batches of the size that suits it best."""
    command = [sys.executable, "-m", "benchmarks.bare_base", str(base)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        # To warm up.
        await BareBase(process, texts[:_NUM_TRIED], _NUM_TRIED, _BATCH_ROWS[0]).turn()
        yield [await _best(process, texts, window_rows) for window_rows in windows_rows]
    finally:
        process.terminate()
        await process.wait()


async def _best(process: asyncio.subprocess.Process, texts: Sequence[str], window_rows: int) -> BareBase:
    sizes = [BareBase(process, texts[:_NUM_TRIED], window_rows, batch_rows) for batch_rows in _BATCH_ROWS]
    seconds = {size.batch_rows: (await size.turn()).cpu_seconds for size in sizes}
    return BareBase(process, texts, window_rows, min(seconds, key=seconds.__getitem__))
