"""The real engine with adapters installed, for benchmarks that need no transport."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.engine import Engine, EngineSettings, open_engine
from adaptermux_server.engine.prepare import PreparedAdapter
from benchmarks.adapters import BASE_FOLDER


@asynccontextmanager
async def running_engine(adapters_per_tree: int = 16) -> AsyncIterator[Engine]:
    """An engine on the base model with one computing thread, closed at the end."""
    engine = open_engine(EngineSettings(str(BASE_FOLDER), num_threads=1, adapters_per_tree=adapters_per_tree))
    try:
        yield engine
    finally:
        engine.close()


async def prepare(engine: Engine, folder: Path) -> PreparedAdapter:
    """Read an adapter and prepare it for the engine."""
    return await engine.prepare(read_checkpoint(folder), labels=(), problem_type=None)


async def install_all(engine: Engine, folders: Sequence[Path]) -> None:
    """Put adapters into the slots from 1 on, in order."""
    for slot, folder in enumerate(folders, start=1):
        await engine.install(slot, await prepare(engine, folder))
