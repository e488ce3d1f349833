"""The engine: one thread that owns the model, and another beside it that prepares adapters."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, TypeVarTuple

import structlog
import torch

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.executor import BankExecutor
from adaptermux_server.engine.bank.probe import bank_holds
from adaptermux_server.engine.executor import CombinedExecutor, Executor
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.types import BatchPlan, BatchResult, ProblemType

_Args = TypeVarTuple("_Args")
_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


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
    executor: Literal["auto", "switch"] = "auto"
    """"switch": the bank isn't used."""
    kernel_costs: KernelCosts | None = None
    """By which the bank picks its kernels; None: measured at the start."""
    adapters_per_tree: int = 16
    """See `SwitchExecutor`."""


@dataclass(frozen=True, slots=True)
class EngineMemory:
    """Memory of tensors, in bytes."""

    base_bytes: int
    adapter_bytes: int


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """A command that the engine's thread carries out now."""

    name: str
    started_at: float
    """On the monotonic clock."""
    thread_id: int


class Engine:
    """Runs commands on the model in the order given, all in its own thread. Made and used on an event loop.

    A command, once given, is carried out even if whoever awaits it is cancelled.
    """

    def __init__(
        self, backbone: Backbone, executor: Executor, preparer: AdapterPreparer, num_threads: int | None = None
    ) -> None:
        self.backbone = backbone
        self._executor = executor
        self._preparer = preparer
        # The number is a thread's own. Small work beside the forwards would only fight them for the cores.
        self._model_thread = _thread("engine", num_threads or torch.get_num_threads())
        self._prepare_thread = _thread("prepare", 1)
        self._command: EngineCommand | None = None
        self._closed = False

    @property
    def command(self) -> EngineCommand | None:
        """The one under way, None while none is. May be read from any thread."""
        return self._command

    async def run(self, plan: BatchPlan) -> BatchResult:
        """Compute a plan; see `Executor.run`."""
        return await self._command_of(self._executor.run, plan)

    async def prepare(
        self, checkpoint: Checkpoint, *, labels: tuple[str, ...], problem_type: ProblemType | None
    ) -> PreparedAdapter:
        """Check and build all that can be built beside the model; see `AdapterPreparer`."""
        return await self._call(self._prepare_thread, self._preparer.prepare, checkpoint, labels, problem_type)

    async def install(self, slot: int, prepared: PreparedAdapter) -> None:
        """Put it into a free slot; after an error the slot is free as before."""
        await self._command_of(self._executor.install, slot, prepared)

    async def evict(self, slot: int) -> PreparedAdapter | None:
        """Free a slot; gives back what can be installed again, if there is such a thing."""
        return await self._command_of(self._executor.evict, slot)

    async def remove(self, slot: int) -> None:
        """Free a slot for good."""
        await self._command_of(self._executor.remove, slot)

    def memory(self) -> EngineMemory:
        """What the tensors take now."""
        return EngineMemory(self.backbone.facts.base_bytes, self._executor.adapter_bytes)

    def close(self) -> None:
        """Take no more commands (they raise ShuttingDownError) and finish those given. Blocks until then."""
        self._closed = True
        self._prepare_thread.shutdown()
        self._model_thread.shutdown()

    async def _command_of(self, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        return await self._call(self._model_thread, self._noted, function, *args)

    async def _call(self, thread: ThreadPoolExecutor, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        if self._closed:
            raise ShuttingDownError
        return await asyncio.get_running_loop().run_in_executor(thread, function, *args)

    def _noted(self, function: Callable[[*_Args], _Result], *args: *_Args) -> _Result:
        """Carry out a command, in the engine's thread, so that a watchdog can tell for how long it runs."""
        self._command = EngineCommand(_name(function), time.monotonic(), threading.get_ident())
        try:
            return function(*args)
        finally:
            self._command = None


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__name__", function))


def _thread(name: str, num_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, name, partial(torch.set_num_threads, num_threads))


def open_engine(settings: EngineSettings) -> Engine:
    """Load the base model and start the engine. Blocks for as long as the load takes; raises as `load_backbone`
    and `AdapterPreparer` do.
    """
    backbone = load_backbone(settings.model, settings.device, settings.dtype)
    executor, preparer = assemble(backbone, settings)
    return Engine(backbone, executor, preparer, settings.num_threads)


def assemble(backbone: Backbone, settings: EngineSettings) -> tuple[Executor, AdapterPreparer]:
    """Make what computes on a backbone, and what prepares adapters for it. Raises as `AdapterPreparer` does."""
    bank = _open_bank(backbone, settings.kernel_costs) if settings.executor == "auto" else None
    switch = SwitchExecutor(backbone, settings.adapters_per_tree)
    executor = switch if bank is None else CombinedExecutor(BankExecutor(backbone, bank), switch)
    return executor, AdapterPreparer(backbone, bank)


def _open_bank(backbone: Backbone, costs: KernelCosts | None) -> Bank | None:
    bank = Bank(backbone, costs)
    if not bank.sites:
        _log.warning("bank is off", reason="no module of the base model reads its input row by row")
        return None
    if not bank_holds(bank, backbone):
        _log.warning("bank is off", reason="rows side by side would be answered otherwise than alone")
        return None
    return bank
