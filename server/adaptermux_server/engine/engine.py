"""The engine: one thread that owns the model, and another beside it that prepares adapters."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar, TypeVarTuple

import torch

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.executor import Executor, SwitchExecutor
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.types import BatchPlan, BatchResult, ProblemType

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the base model is loaded and computed."""

    model: str
    """A folder, or an id in the model hub's local cache."""
    device: str = "cpu"
    dtype: str = "float32"
    """A name such as "bfloat16"; "auto": as the model's files have it. What is fast depends on the machine: measure."""
    num_threads: int | None = None
    """Threads of one forward; None: as torch chooses."""
    adapters_per_tree: int = 16
    """See `SwitchExecutor`."""


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """Memory of tensors, in bytes."""

    base_bytes: int
    adapter_bytes: int


class Engine:
    """Runs commands on the model in the order given, all in its own thread. Made and used on an event loop.

    A command, once given, is carried out even if whoever awaits it is cancelled.
    """

    def __init__(self, backbone: Backbone, executor: Executor, num_threads: int | None = None) -> None:
        self.backbone = backbone
        self._executor = executor
        self._preparer = AdapterPreparer(backbone)
        initializer = None if num_threads is None else partial(torch.set_num_threads, num_threads)
        self._model_thread = ThreadPoolExecutor(1, "engine", initializer)
        self._prepare_thread = ThreadPoolExecutor(1, "prepare")
        self._closed = False

    async def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan; see `Executor.run`."""
        return await self._call(self._model_thread, self._executor.run, plan)

    async def prepare(
        self, checkpoint: Checkpoint, *, labels: tuple[str, ...], problem_type: ProblemType | None
    ) -> PreparedAdapter:
        """Check and build all that can be built beside the model; see `AdapterPreparer`."""
        return await self._call(self._prepare_thread, self._preparer.prepare, checkpoint, labels, problem_type)

    async def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put it into a free slot; after an error the slot is free as before."""
        await self._call(self._model_thread, self._executor.install, slot, prepared)

    async def remove(self, slot: int) -> None:
        """Free a slot."""
        await self._call(self._model_thread, self._executor.remove, slot)

    def memory(self) -> EngineMemory:
        """What the tensors take now."""
        return EngineMemory(self.backbone.facts.base_bytes, self._executor.adapter_bytes)

    def close(self) -> None:
        """Take no more commands (they raise ShuttingDownError) and finish those given. Blocks until then."""
        self._closed = True
        self._prepare_thread.shutdown()
        self._model_thread.shutdown()

    async def _call(self, thread: ThreadPoolExecutor, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        if self._closed:
            raise ShuttingDownError
        return await asyncio.get_running_loop().run_in_executor(thread, function, *args)


def open_engine(settings: EngineSettings) -> Engine:
    """Load the base model and start the engine. Blocks for as long as the load takes; raises as `load_backbone`
    and `AdapterPreparer` do.
    """
    backbone = load_backbone(settings.model, settings.device, settings.dtype)
    return Engine(backbone, SwitchExecutor(backbone, settings.adapters_per_tree), settings.num_threads)
