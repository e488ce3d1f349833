"""Bases are made once for the session; an engine is closed with the test module that opened it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptermux_server.engine.engine import Engine, EngineSettings, open_engine
from tests.fidelity.zoo import Zoo
from tests.support.models import make_base, random_rows

LENGTHS = (3, 4, 7, 11, 18, 30, 48)


@pytest.fixture(scope="session")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny base."""
    bases: dict[str, Path] = {}

    def base(family: str) -> Path:
        if family not in bases:
            bases[family] = make_base(family, tmp_path_factory.mktemp(family))
        return bases[family]

    return base


@pytest.fixture(scope="module")
def open_zoo(base_of: Callable[[str], Path]) -> Iterator[Callable[..., Zoo]]:
    """Open an engine on a family's base, with few adapters in a tree so that trees fill up."""
    engines: list[Engine] = []

    def opened(family: str, **settings: Any) -> Zoo:
        base = base_of(family)
        engines.append(open_engine(EngineSettings(str(base), num_threads=1, **{"adapters_per_tree": 3, **settings})))
        return Zoo(base, engines[-1], random_rows(base, LENGTHS))

    yield opened
    for engine in engines:
        engine.close()
