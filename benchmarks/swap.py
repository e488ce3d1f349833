"""What it costs to go from one adapter to another, and to add one, while many are loaded.

`switch_ms_256`: how much longer a forward in the bank takes where its adapter isn't that of the forward before, while
256 take turns; measured with one short row, beside which the smallest cost shows. Nothing is switched: what differs is
what the caches, those of the processor and the bank's own, still hold. `peft_set_adapter_ms_16`: a walk of plain PEFT,
with 16 adapters in one model (`switch` has it up to 256).

`load_ms_…`: from files, which the operating system holds in memory, to READY with that many adapters loaded; by the
real lifecycle in the real engine, checks included, and durable when it ends: the content is in the store (it was there
before), the registration synced to the disk. Three engines with 16, 256 and 1,024 take turns, and each load is
followed by an unload. `load_first_ms`: the first of its kind. Wall time; medians; one computing thread.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.control import build_control_plane
from adaptermux_server.adapters.lifecycle import Lifecycle
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.engine.backbone import load_backbone
from adaptermux_server.engine.collate import collate
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from benchmarks.adapters import BASE_FOLDER, load_peft, save_adapters
from benchmarks.engines import OpenBank, running_engine, sequence
from benchmarks.pairs import seconds_of

TARGETS: dict[str, tuple[str, float]] = {
    "switch_ms_256": ("<=", 0.1),
    "load_ms_256": ("<=", 20.0),
    "load_ratio_1024_16": ("<=", 1.3),
}

_COUNTS = (16, 256, 1024)
_NUM_SAVED = 16
_NUM_SWITCHED = 256
_NUM_TOKENS = 8
_MAX_WAIT_SECONDS = 1.0


def run(quick: bool) -> dict[str, float]:
    """Measure; `quick`: fewer repetitions."""
    with TemporaryDirectory() as folder:
        saved = list(save_adapters(Path(folder), _NUM_SAVED).values())
        metrics = _switch(saved, 300 if quick else 2000) | {"peft_set_adapter_ms_16": _set_adapter(saved)}
        return metrics | asyncio.run(_loads(saved, 12 if quick else 60))


def _switch(folders: Sequence[Path], num_rounds: int) -> dict[str, float]:
    """A forward after one of another adapter, then one after one of the same, adapter by adapter."""
    backbone = load_backbone(str(BASE_FOLDER))
    bank = OpenBank(backbone)
    bank.install(folders, _NUM_SWITCHED)
    batch = collate([sequence(_NUM_TOKENS)], backbone)
    works = [partial(bank.bank.compute, batch, [content]) for content in bank.contents]
    seconds = [(seconds_of(work), seconds_of(work)) for work in islice(cycle(works), num_rounds)]
    switching, staying = np.array(seconds).T
    return {
        "switch_ms_256": float(np.median(switching - staying)) * 1e3,
        "switch_forward_ms": float(np.median(staying)) * 1e3,
    }


def _set_adapter(folders: Sequence[Path]) -> float:
    """Milliseconds of a walk; PEFT's names are the numbers of the folders."""
    model = load_peft(folders)
    walks = [seconds_of(partial(model.set_adapter, str(number))) for number in range(len(folders))]
    return float(np.median(walks)) * 1e3


@dataclass(frozen=True, slots=True)
class Loader:
    """Loads into an engine of its own."""

    lifecycle: Lifecycle
    folders: Sequence[Path]

    async def load(self, number: int) -> float:
        """Load one more; returns the seconds until it was READY."""
        options = LoadOptions(adapter_id=f"adapter-{number}", uri=str(self.folders[number % len(self.folders)]))
        started = time.perf_counter()
        await self.lifecycle.load(options)
        return time.perf_counter() - started

    async def sample(self, number: int) -> float:
        """Load one more and unload it; returns the seconds of the load."""
        seconds = await self.load(number)
        await self.lifecycle.unload(f"adapter-{number}")
        return seconds


@asynccontextmanager
async def _loader(folders: Sequence[Path]) -> AsyncIterator[Loader]:
    async with running_engine() as engine:
        with TemporaryDirectory() as store:
            catalog = Catalog(Store(Path(store) / "store"))
            control = build_control_plane(
                AdapterRegistry(_MAX_WAIT_SECONDS),
                engine,
                Scheduler(engine.run, SchedulerSettings()),
                catalog,
                Sources([folder.parent for folder in folders], catalog.workspace),
                base="measured",
            )
            yield Loader(control.lifecycle, folders)
            await control.close()
            await asyncio.to_thread(catalog.close)


async def _loads(folders: Sequence[Path], num_rounds: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        loaders = {count: await stack.enter_async_context(_loader(folders)) for count in _COUNTS}
        filled = {count: [await loader.load(number) for number in range(count)] for count, loader in loaders.items()}
        samples = [
            [await loader.sample(count + number) for count, loader in loaders.items()] for number in range(num_rounds)
        ]
    by_count = dict(zip(_COUNTS, np.array(samples).T, strict=True))
    return {
        **{f"load_ms_{count}": float(np.median(seconds)) * 1e3 for count, seconds in by_count.items()},
        "load_ratio_1024_16": float(np.median(by_count[1024] / by_count[16])),
        "load_first_ms": float(np.median([seconds[0] for seconds in filled.values()])) * 1e3,
    }
