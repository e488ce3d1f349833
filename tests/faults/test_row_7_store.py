"""A store that is damaged, and a clock that jumps: the server starts, says what it dropped, and serves the rest."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2 as admin_pb2
from adaptermux_client.errors import from_rpc_error
from tests.faults.durable_world import DurableWorld, Operator, fill, operating
from tests.faults.server_forks import Forks

_DATABASE = "registry.sqlite"
_READY = admin_pb2.ADAPTER_STATE_READY


@dataclass(frozen=True)
class Filled:
    """A closed store of adapters x, y and w, and the world that they come from."""

    world: DurableWorld
    store: Path

    def content(self, store: Path, name: str) -> Path:
        digest = self.world.digests[name]
        return store / "content" / digest[:2] / digest


@pytest.fixture(scope="module")
def filled(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    root = tmp_path_factory.mktemp("damage")
    world, store = DurableWorld(root), root / "store"
    with (
        forks.server(root / "log", [*world.arguments, "--store", str(store)]) as server,
        operating(world, server.address("data"), server.address("admin")) as operator,
    ):
        fill(operator)
    return Filled(world, store)


@dataclass(frozen=True)
class Started:
    """A server on a damaged copy, and what it said of it."""

    operator: Operator
    log: str


@pytest.fixture
def start(filled: Filled, forks: Forks, tmp_path: Path) -> Iterator[Callable[[Callable[[Path], None]], Started]]:
    contexts = []

    def started(damage: Callable[[Path], None]) -> Started:
        store = filled.world.copied(filled.store, tmp_path / "store")
        damage(store)
        log = tmp_path / "log"
        contexts.append(forks.server(log, [*filled.world.arguments, "--store", str(store)]))
        server = contexts[-1].__enter__()
        contexts.append(operating(filled.world, server.address("data"), server.address("admin")))
        return Started(contexts[-1].__enter__(), log.read_text())

    yield started
    for context in reversed(contexts):
        context.__exit__(None, None, None)


def _shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(4096))


@pytest.mark.parametrize("damage", [_shorter, Path.unlink], ids=["half", "gone"])
def test_an_adapter_whose_content_is_damaged_is_told_and_the_others_serve(
    filled: Filled, start: Callable[[Callable[[Path], None]], Started], damage: Callable[[Path], None]
) -> None:
    started = start(lambda store: damage(filled.content(store, "two") / "adapter_model.safetensors"))
    operator, digests = started.operator, filled.world.digests

    assert digests["two"] in started.log
    assert "adapter x can't be restored" in started.log
    assert {"w", "y"} == {adapter.id for adapter in operator.adapters() if adapter.state == _READY}
    assert [digests["five"], digests["one"]] == [operator.answered_by("w"), operator.answered_by("y")]
    with pytest.raises(grpc.RpcError) as caught:
        operator.answered_by("x")
    assert "ADAPTER_NOT_READY" == from_rpc_error(caught.value).reason
    operator.load("x", "two")
    assert digests["two"] == operator.answered_by("x")


@pytest.mark.parametrize("damage", [_shorter, _garbage], ids=["half", "garbage"])
def test_a_damaged_database_is_moved_aside_and_all_contents_can_be_loaded(
    filled: Filled, start: Callable[[Callable[[Path], None]], Started], damage: Callable[[Path], None]
) -> None:
    started = start(lambda store: damage(store / _DATABASE))
    operator, digests = started.operator, filled.world.digests

    assert "the database is damaged" in started.log
    assert f"{_DATABASE}.corrupt-" in started.log
    assert [] == operator.adapters()
    for name in ("one", "two", "three", "five"):
        operator.load(name, name, by_revision=True)
        assert digests[name] == operator.answered_by(name)


def test_a_half_written_log_of_the_database_costs_nothing_that_was_committed_before(
    filled: Filled, start: Callable[[Callable[[Path], None]], Started]
) -> None:
    started = start(lambda store: _garbage(store / f"{_DATABASE}-wal"))

    answered = {name: started.operator.answered_by(name) for name in ("x", "y", "w", "prod")}

    digests = filled.world.digests
    assert [digests["two"], digests["one"], digests["five"]] == [answered[name] for name in ("x", "y", "w")]
    assert answered["prod"] in {digests["two"], digests["one"]}
