"""One server process for all that comes over the wire."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptermux_server.testing import local_server
from adaptermux_server.types import Task
from tests.e2e.expected import Expected
from tests.fuzz.target import Target, Usage
from tests.support.models import make_adapter, make_base

_TASKS = {"sentiment": Task.SEQUENCE_CLASSIFICATION, "pos": Task.TOKEN_CLASSIFICATION}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base("bert", tmp_path_factory.mktemp("fuzz") / "base")


@pytest.fixture(scope="session")
def adapters(base: Path) -> Path:
    """A folder of adapters: one for each task, and `spare`, which isn't loaded at the start."""
    root = base.parent / "adapters"
    for seed, (name, task) in enumerate([*_TASKS.items(), ("spare", Task.SEQUENCE_CLASSIFICATION)]):
        make_adapter(base, root / name, task, seed=seed)
    return root


@pytest.fixture(scope="session")
def process(base: Path, adapters: Path) -> Iterator[Target]:
    expected = {name: Expected(base, adapters / name, task) for name, task in _TASKS.items()}
    loaded = [part for name in _TASKS for part in ("--adapter", f"{name}={adapters / name}")]
    arguments = ["--model", str(base), "--num-threads", "1", "--adapter-root", str(adapters), *loaded]
    with local_server(arguments) as server:
        target = Target(server, adapters, expected)
        target.assert_answers()
        yield target
        target.close()


@pytest.fixture
def target(process: Target) -> Iterator[Target]:
    """The server; after a test it must be what it was before."""
    process.assert_answers()
    before: Usage = process.usage()
    yield process
    assert process.server.process.poll() is None
    process.assert_answers()
    process.assert_usage(before)
    process.assert_clean_log()
    assert 0 == process.status().num_rows_queued
