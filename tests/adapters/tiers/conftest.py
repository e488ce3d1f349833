"""Worlds of which, at the end of each test, nothing may be left over."""

from collections.abc import AsyncIterator

import pytest

from tests.adapters.tiers.world import NewWorld, World


@pytest.fixture
async def new_world() -> AsyncIterator[NewWorld]:
    worlds: list[World] = []

    def make(*sizes: int, **limits: int) -> World:
        worlds.append(World(*sizes, **limits))
        return worlds[-1]

    yield make
    for world in worlds:
        await world.work()
        world.assert_settled()
        await world.tiers.close()
