"""Two servers for the whole table, one of them a process of its own: every case must leave them as they were."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adaptermux.v1 import adapter_admin_pb2
from tests.contract.world import Ground, World, make_ground, world_in_a_process, world_inside


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return make_ground(tmp_path_factory.mktemp("contract"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inside(ground: Ground) -> AsyncIterator[World]:
    async with world_inside(ground) as built:
        yield built


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def process(ground: Ground) -> AsyncIterator[World]:
    async with world_in_a_process(ground) as built:
        yield built


@pytest_asyncio.fixture(loop_scope="session")
async def cleaned(inside: World, process: World) -> AsyncIterator[None]:
    """What a failed case has left behind isn't the next one's trouble."""
    before = {world: {each[0] for each in await world.listed()} for world in (inside, process)}
    yield
    for world, known in before.items():
        for each in await world.listed():
            if each[0] not in known:
                await world.admin.UnloadAdapter(
                    adapter_admin_pb2.UnloadAdapterRequest(adapter_id=str(each[0]), force=True)
                )
