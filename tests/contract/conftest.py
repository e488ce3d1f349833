"""One server for the whole table: every case must leave it as it was."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.world import World, world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("contract")) as built:
        yield built


@pytest_asyncio.fixture(loop_scope="session")
async def the_world(shared_world: World) -> AsyncIterator[World]:
    """The one server; what a failed case has left behind isn't the next one's trouble."""
    before = {record.id for record in shared_world.harness.registry.list()}
    yield shared_world
    for record in shared_world.harness.registry.list():
        if record.id not in before:
            await shared_world.unload(record.id, force=True)
