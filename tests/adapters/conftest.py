"""The rig of the lifecycle's tests, which checks at the end of each that no slot and no claim is left behind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    await rig.close()
    rig.assert_consistent()
