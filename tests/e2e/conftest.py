"""A zoo of adapters on one tiny base, and a server that serves it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.harness import Harness, served
from tests.e2e.zoo import Zoo, make_zoo


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def harness(zoo: Zoo) -> AsyncIterator[Harness]:
    adapters = {name: str(each.folder) for name, each in zoo.residents.items()}
    # Few adapters in a module tree: several trees, which each switch.
    async with served(
        model=str(zoo.base), adapters=adapters, adapter_roots=(str(zoo.root),), adapters_per_tree=3, num_threads=1
    ) as running:
        yield running
