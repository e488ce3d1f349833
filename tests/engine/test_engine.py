"""Commands to the thread that owns the model."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import pytest_asyncio

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.engine import Engine, EngineSettings, assemble, open_engine
from adaptermux_server.engine.prepare import AdapterPreparer, PreparedAdapter
from adaptermux_server.errors import BaseMismatchError, ShuttingDownError
from adaptermux_server.types import BASE_SLOT, BatchPlan, BatchResult, Pooling, Row
from tests.engine.conftest import MakeCheckpoint


@pytest_asyncio.fixture(params=["auto", "switch"])
async def engine(bert: Backbone, request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Once with the bank, once without."""
    opened = _engine(bert, request.param)
    yield opened
    opened.close()


async def test_adapter_goes_from_files_to_answers(engine: Engine, checkpoint_of: MakeCheckpoint) -> None:
    """Prepare, install, run, remove."""
    checkpoint = checkpoint_of(num_labels=5)

    prepared = await engine.prepare(checkpoint, labels=(), problem_type=None)
    await engine.install(1, prepared)
    result = await engine.run(_plan(1, None))
    installed_bytes = engine.memory().adapter_bytes
    await engine.remove(1)

    assert (3, 5) == result.values[0].shape
    assert (checkpoint.num_bytes, 0) == (installed_bytes, engine.memory().adapter_bytes)
    assert engine.memory().base_bytes == engine.backbone.facts.base_bytes


async def test_errors_of_a_command_reach_its_caller_alone(engine: Engine, checkpoint_of: MakeCheckpoint) -> None:
    """The engine goes on."""
    with pytest.raises(BaseMismatchError):
        await engine.prepare(checkpoint_of("roberta"), labels=(), problem_type=None)
    with pytest.raises(KeyError):
        await engine.run(_plan(7, None))

    assert (32,) == (await engine.run(_plan(BASE_SLOT))).values[0].shape


async def test_answers_do_not_change_while_adapters_are_prepared_and_installed(
    engine: Engine, checkpoint_of: MakeCheckpoint
) -> None:
    """Preparing runs beside the forwards, installing between them."""
    await engine.install(1, await engine.prepare(checkpoint_of(), labels=(), problem_type=None))
    expected = (await engine.run(_plan(1, None))).values[0]
    checkpoints = [checkpoint_of(method=method) for method in ("lora", "dora", "vera", "ia3", "oft", "lora")]

    async def load(slot: int) -> None:
        prepared = await engine.prepare(checkpoints[slot - 2], labels=(), problem_type=None)
        await engine.install(slot, prepared)
        await engine.remove(slot)

    loads = asyncio.gather(*(load(slot) for slot in range(2, 2 + len(checkpoints))))
    num_runs = 0
    while not loads.done() or num_runs < 20:
        np.testing.assert_array_equal(expected, (await engine.run(_plan(1, None))).values[0])
        num_runs += 1
    await loads


async def test_one_thread_runs_all_commands_on_the_model(bert: Backbone) -> None:
    """In the order in which they were given."""
    recorder = _Recorder()
    engine = Engine(bert, recorder, AdapterPreparer(bert, None))

    await asyncio.gather(engine.install(1, None), engine.run(_plan(1)), engine.remove(1))  # type: ignore[arg-type]
    engine.close()

    assert ["install", "run", "remove"] == recorder.calls
    assert 1 == len(recorder.threads)
    assert threading.get_ident() not in recorder.threads


async def test_cancelled_caller_does_not_stop_a_command(bert: Backbone) -> None:
    """Half an install would be worse than one that nobody waits for."""
    recorder = _Recorder()
    engine = Engine(bert, recorder, AdapterPreparer(bert, None))
    recorder.gate.clear()
    running = asyncio.ensure_future(engine.run(_plan(1)))
    await asyncio.get_running_loop().run_in_executor(None, recorder.entered.wait, 10)
    running.cancel()

    recorder.gate.set()
    engine.close()

    assert ["run"] == recorder.calls


async def test_closed_engine_takes_no_commands(bert: Backbone) -> None:
    engine = _engine(bert)
    engine.close()

    with pytest.raises(ShuttingDownError):
        await engine.run(_plan(BASE_SLOT))


async def test_engine_opens_from_settings(base_folder: Callable[[str], Path]) -> None:
    engine = open_engine(EngineSettings(str(base_folder("electra")), num_threads=1))

    result = await engine.run(_plan(BASE_SLOT))
    engine.close()

    assert (32,) == result.values[0].shape


class _Recorder:
    """An executor that notes which thread called what, and can be held up in a run."""

    adapter_bytes = 0

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def run(self, plan: BatchPlan) -> BatchResult:
        self.entered.set()
        self.gate.wait(10)
        self._note("run")
        return BatchResult((), 0, 0.0, 0.0, frozenset({BASE_SLOT}), ())

    def install(self, slot: int, prepared: PreparedAdapter) -> None:
        self._note("install")

    def remove(self, slot: int) -> None:
        self._note("remove")

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.get_ident())


def _engine(bert: Backbone, kind: Literal["auto", "switch"] = "auto") -> Engine:
    settings = EngineSettings(model="in memory", num_threads=1, executor=kind)
    return Engine(bert, *assemble(bert, settings), settings.num_threads)


def _plan(slot: int, pooling: Pooling | None = Pooling.MEAN) -> BatchPlan:
    return BatchPlan.at_once([Row(slot, {"input_ids": (0, 7, 2)}, pooling, asyncio.Future())])
