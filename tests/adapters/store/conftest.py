"""An open store in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptermux_server.adapters.store.store import Store
from tests.adapters.store.builders import open_store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    with open_store(root) as store:
        yield store
