"""The wall clock is set, back or ahead, while a server runs and between two of its lives: nothing breaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import environ, pathsep
from pathlib import Path

import grpc
import pytest

from adaptermux.v1 import infer_pb2
from adaptermux_server.testing import local_server
from tests.e2e.expected import TEXTS
from tests.faults.durable_world import DurableWorld, Operator, operating

_YEAR = 365 * 86400.0
_CALL_SECONDS = 30.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> DurableWorld:
    return DurableWorld(tmp_path_factory.mktemp("clock"))


class Clock:
    """The wall clock of servers, by the right one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.jump(0)

    def jump(self, offset_seconds: float) -> None:
        # By one rename: it is read at any time.
        aside = self.file.with_suffix(".new")
        aside.write_text(str(offset_seconds))
        aside.rename(self.file)


@contextmanager
def _life(world: DurableWorld, clock: Clock) -> Iterator[Operator]:
    """A server with room for one adapter in its engine, so that answers need its tiers."""
    arguments = [*world.arguments, "--store", str(world.root / "store"), "--max-device-adapters", "1"]
    path = pathsep.join(filter(None, [str(Path(__file__).parent / "jumping_clock"), environ.get("PYTHONPATH")]))
    with (
        local_server(arguments, {"PYTHONPATH": path, "FAULTS_CLOCK_FILE": str(clock.file)}) as server,
        operating(world, server.data_address, server.admin_address) as operator,
    ):
        yield operator
        assert 0 == server.stop()


def _serves(operator: Operator, world: DurableWorld) -> None:
    for adapter_id, name in (("x", "one"), ("y", "two")):
        assert world.digests[name] == operator.answered_by(adapter_id)


def _deadlines_hold(operator: Operator) -> None:
    """A short one is met or passes; a long one leaves the time that it says."""
    request = infer_pb2.ClassifyRequest(adapter="x", inputs=[infer_pb2.Input(text=TEXTS[0])] * 200)
    assert 200 == len(operator.infer.Classify(request, timeout=_CALL_SECONDS).results)
    with pytest.raises(grpc.RpcError) as caught:
        operator.infer.Classify(request, timeout=0.001)
    assert grpc.StatusCode.DEADLINE_EXCEEDED is caught.value.code()


def test_a_clock_that_jumps_breaks_neither_deadlines_nor_tiers_nor_the_next_start(
    world: DurableWorld, tmp_path: Path
) -> None:
    clock = Clock(tmp_path / "offset")
    with _life(world, clock) as operator:
        operator.load("x", "one")
        operator.load("y", "two")
        started = operator.adapters()[0].load_time.seconds
        for offset in (10 * _YEAR, -10 * _YEAR, 0.0):
            clock.jump(offset)
            _serves(operator, world)
            _deadlines_hold(operator)
            operator.load("z", "three")
            assert abs(operator.adapters()[2].load_time.seconds - started - offset) < _YEAR, "the clock didn't jump"
            operator.delete("z")

    clock.jump(-10 * _YEAR)
    with _life(world, clock) as operator:
        _serves(operator, world)
        clock.jump(10 * _YEAR)
        _serves(operator, world)
        _deadlines_hold(operator)
