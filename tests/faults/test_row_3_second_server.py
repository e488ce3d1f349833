"""A second server on what a first one uses: it says why it doesn't start, and the first one serves on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.durable_world import DurableWorld, operating
from tests.faults.server_forks import ForkedServer, Forks


@pytest.fixture(scope="module")
def other_forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> DurableWorld:
    return DurableWorld(tmp_path_factory.mktemp("second"))


SHARED: dict[str, Callable[[ForkedServer, Path], list[str]]] = {
    "data port": lambda first, store: ["--address", first.address("data")],
    "admin port": lambda first, store: ["--admin-address", first.address("admin")],
    "store": lambda first, store: ["--store", str(store)],
}


@pytest.fixture(scope="module")
def first(forks: Forks, world: DurableWorld) -> Iterator[ForkedServer]:
    arguments = [*world.arguments, "--store", str(world.root / "store")]
    with forks.server(world.root / "first.log", arguments) as server:
        yield server


@pytest.mark.parametrize("shared", SHARED)
def test_a_second_server_refuses_to_start_and_says_why(
    first: ForkedServer, other_forks: Forks, world: DurableWorld, tmp_path: Path, shared: str
) -> None:
    arguments = SHARED[shared](first, world.root / "store")
    with operating(world, first.address("data"), first.address("admin")) as operator:
        operator.load("x", "one")

        status = other_forks.ended(tmp_path / "log", [*world.arguments, *arguments])

        text = (tmp_path / "log").read_text()
        assert 1 == status
        assert arguments[1] in text
        assert "Traceback" not in text
        assert world.digests["one"] == operator.answered_by("x")
        operator.load("x", "two")
        assert world.digests["two"] == operator.answered_by("x")
