"""Spoilt adapters: refused for a reason, or loaded and answered as plain PEFT does."""

import asyncio
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.engine.backbone import load_backbone
from adaptermux_server.engine.engine import EngineSettings, assemble
from adaptermux_server.engine.executor import Executor
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.types import BatchPlan, Row, Task
from tests.fuzz.chance import dice, num_examples, rounds
from tests.fuzz.outcomes import assert_error_foreseen
from tests.fuzz.spoiling import CONFIG, MODEL_CONFIG, WEIGHTS, Files, spoilt
from tests.fuzz.target import CALL_SECONDS, Target
from tests.support.models import encode, make_adapter, reference

_TEXTS = ("the cat sat on the mat", "a dog ran")
# Of the processor: a module tree is built for the first of each kind. A pattern that backtracks would take for ever.
_MAX_SECONDS = 1.5
_MAX_BYTES = 64 << 20
# PEFT takes long to build; so many are compared with it.
_NUM_COMPARED = num_examples(1.5)
_TOLERANCE = 1e-3
_KINDS = ("lora", "dora", "ia3", "loha")


@contextmanager
def _bounded() -> Iterator[None]:
    """Little time and memory."""
    tracemalloc.reset_peak()
    held, started = tracemalloc.get_traced_memory()[0], time.thread_time()
    yield
    assert time.thread_time() - started < _MAX_SECONDS
    assert tracemalloc.get_traced_memory()[1] - held < _MAX_BYTES


@pytest.fixture(scope="module")
def originals(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Files]:
    """The files of adapters of some methods and tasks."""
    root, made = tmp_path_factory.mktemp("originals"), []
    for number, method in enumerate(_KINDS):
        task = (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION)[number % 2]
        folder = make_adapter(base, root / method, task, method, labels=("a", "b", "c"), seed=number)
        made.append({name: (folder / name).read_bytes() for name in (CONFIG, MODEL_CONFIG, WEIGHTS)})
    return made


def _write(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.timeout(0)
def test_a_spoilt_adapter_is_refused_or_is_what_peft_makes_of_it(
    base: Path, originals: list[Files], tmp_path: Path
) -> None:
    chance, outcomes, loaded = dice("checkpoints"), Counter[str](), list[tuple[Path, PreparedAdapter]]()
    backbone = load_backbone(str(base))
    executor, preparer = assemble(backbone, EngineSettings(str(base), num_threads=1))
    tracemalloc.start()
    try:
        for number in rounds(at_least=30):
            folder = _write(tmp_path / str(number), spoilt(chance.choice(originals), chance))
            try:
                with _bounded():
                    prepared = preparer.prepare(read_checkpoint(folder))
            except AdapterMuxError as error:
                outcomes[error.reason] += 1
            else:
                outcomes["loaded"] += 1
                loaded.append((folder, prepared))
    finally:
        tracemalloc.stop()

    for slot, (folder, prepared) in enumerate(loaded[:_NUM_COMPARED], start=1):
        executor.install(slot, prepared)
        _assert_as_peft(base, folder, prepared, executor, slot)
    assert len(outcomes) > 2


def _assert_as_peft(base: Path, folder: Path, prepared: PreparedAdapter, executor: Executor, slot: int) -> None:
    rows = encode(base, _TEXTS)
    expected = reference(base, folder, prepared.spec.task, rows, len(prepared.spec.labels) or 3)
    loop = asyncio.new_event_loop()
    try:
        plan = BatchPlan.at_once([Row(slot, row, None, loop.create_future()) for row in rows])
        found = executor.run(plan).values
    finally:
        loop.close()
    for wanted, actual in zip(expected, found, strict=True):
        # Bits of an exponent make numbers of which rounding leaves nothing to compare.
        if np.isfinite(wanted.values).all() and np.abs(wanted.values).max() < 1e6:
            np.testing.assert_allclose(actual, wanted.values, rtol=_TOLERANCE, atol=_TOLERANCE, err_msg=str(folder))


@pytest.mark.timeout(0)
def test_spoilt_adapters_change_nothing_in_a_server(target: Target, adapters: Path) -> None:
    chance, outcomes = dice("loads"), Counter[bool]()
    admin: Any = adapter_admin_pb2_grpc.AdapterAdminStub(target.admin)
    infer: Any = infer_pb2_grpc.InferStub(target.data)
    names = [name for name in (CONFIG, MODEL_CONFIG, WEIGHTS) if (adapters / "spare" / name).exists()]
    files = {name: (adapters / "spare" / name).read_bytes() for name in names}
    for number in rounds(at_least=10):
        folder = _write(adapters / f"spoilt-{number}", spoilt(files, chance))
        request = adapter_admin_pb2.LoadAdapterRequest(adapter_id="guest", uri=str(folder))
        error = _failure(lambda request=request: admin.LoadAdapter(request, timeout=CALL_SECONDS))
        outcomes[error is None] += 1
        if error is None:
            asked = infer_pb2.ClassifyRequest(adapter="guest", inputs=[infer_pb2.Input(text=_TEXTS[0])])
            _failure(lambda asked=asked: infer.Classify(asked, timeout=CALL_SECONDS))
        if number % 10 == 0:
            target.assert_answers()
    _failure(lambda: admin.DeleteAdapter(adapter_admin_pb2.DeleteAdapterRequest(adapter_id="guest")))
    assert {True, False} == set(outcomes)


def _failure(call: Any) -> Any:
    """How a call failed, which must be foreseen; None: it didn't."""
    try:
        call()
    except grpc.RpcError as error:
        assert_error_foreseen(error, "a spoilt adapter")
        return error
    return None
