"""A server of few parts, so that what is left behind shows."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from adaptermux_server.types import Task
from tests.contract.world import Ground, World
from tests.e2e.expected import Expected
from tests.e2e.harness import served
from tests.faults.server_forks import Forks
from tests.support.models import make_adapter, make_base

_ADAPTERS = {
    "sentiment": Task.SEQUENCE_CLASSIFICATION,
    "pos": Task.TOKEN_CLASSIFICATION,
    "guest": Task.SEQUENCE_CLASSIFICATION,
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base, and the root of the adapters. One layer, one target: a load is quick."""
    root = tmp_path_factory.mktemp("faults")
    base = make_base("bert", root / "base", num_hidden_layers=1)
    for seed, (name, task) in enumerate(_ADAPTERS.items()):
        make_adapter(base, root / "adapters" / name, task, seed=seed, target_modules=["query"])
    return base, root / "adapters"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def the_world(folders: tuple[Path, Path]) -> AsyncIterator[World]:
    """A server that serves `sentiment` and `pos`; `guest` lies beside them."""
    base, root = folders
    expected = {name: Expected(base, root / name, task) for name, task in _ADAPTERS.items()}
    expected[""] = Expected(base, None, Task.FEATURE_EXTRACTION)
    adapters = {name: str(root / name) for name in ("sentiment", "pos")}
    # Two adapters fill a tree: trees come and go with the loads.
    async with served(
        model=str(base), adapters=adapters, adapter_roots=(str(root),), adapters_per_tree=2, num_threads=1
    ) as harness:
        yield World.around(harness, Ground(root, base, expected))


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Where a test gets a server's process from, one at a time."""
    with Forks() as forks:
        yield forks
