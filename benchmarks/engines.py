"""The real engine with adapters installed, for benchmarks that need no transport."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import torch

from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.collate import Columns
from adaptermux_server.engine.engine import Engine, EngineSettings, open_engine
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.types import BatchPlan, Row
from benchmarks.adapters import BASE_FOLDER

TOKEN_ID = 2000
"""Any word of the vocabulary: what it means costs nothing."""


class OpenBank:
    """The bank with its executor, to be used in the thread that made it, which computes with one thread from then on.

    Adapters are read from their files each time, also where a file comes twice: they share no memory.
    """

    def __init__(self, backbone: Backbone) -> None:
        torch.set_num_threads(1)
        self.bank = Bank(backbone)
        self.executor = BankExecutor(backbone, self.bank)
        self._preparer = AdapterPreparer(backbone, self.bank)
        self.contents: list[BankContent] = []
        """By slot, from 1 on."""

    def install(self, folders: Iterable[Path], count: int) -> None:
        """Put `count` adapters into the next slots; folders come again where they are fewer."""
        for folder in islice(cycle(folders), count):
            prepared = self._preparer.prepare(read_checkpoint(folder))
            assert isinstance(prepared.content, BankContent), "this is a bug: the adapter is made for the bank"
            self.contents.append(prepared.content)
            self.executor.install(len(self.contents), prepared)


@asynccontextmanager
async def running_engine(
    executor: Literal["auto", "switch"] = "auto", adapters_per_tree: int = 16
) -> AsyncIterator[Engine]:
    """An engine on the base model with one computing thread, closed at the end."""
    settings = EngineSettings(str(BASE_FOLDER), num_threads=1, executor=executor, adapters_per_tree=adapters_per_tree)
    engine = open_engine(settings)
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


def sequence(num_tokens: int) -> Columns:
    """A made-up sequence."""
    return {"input_ids": (TOKEN_ID,) * num_tokens, "token_type_ids": (0,) * num_tokens}


def plan(slots: Iterable[int], rows: Iterable[Columns]) -> BatchPlan:
    """One forward, each of `rows` through the head of its slot. Needs a running event loop."""
    new_future = asyncio.get_running_loop().create_future
    return BatchPlan.at_once(Row(slot, columns, None, new_future()) for slot, columns in zip(slots, rows, strict=True))
