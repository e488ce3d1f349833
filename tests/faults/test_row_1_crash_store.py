"""`kill -9` at every step of every change of the store: afterwards it has the old or the new state, and works on."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import adaptermux_server
from adaptermux_server.failpoints import POINTS
from tests.adapters.store.builders import Picture, open_store, picture
from tests.faults.store_changes import CHANGES, run

Mortal = Callable[..., int]
"""Makes a change in a process of its own, with this added to its environment; returns its exit status."""

_OLD, _NEW = "old", "new"
_UPLOAD_TO_THE_RENAME = ("store.begun", "store.file_written", "store.file_synced", "store.folder_synced")
_COMMIT = (("database.before_commit", _OLD), ("database.after_commit", _NEW))

# Which points each change passes, in order, and what the store is after a death there.
_DEATHS: dict[str, tuple[tuple[str, str], ...]] = {
    "first opening": (("database.created", _NEW), ("database.before_commit", _NEW), ("database.after_commit", _NEW)),
    # A content that has its name is kept, noted or not.
    "upload": (
        *((point, _OLD) for point in (*_UPLOAD_TO_THE_RENAME, "store.cleared")),
        *((point, _NEW) for point in ("store.renamed", "store.parent_synced")),
        *((point, _NEW) for point, _ in _COMMIT),
    ),
    # The damaged one is moved away first: it is missing then, which is as bad.
    "upload of what is damaged": (
        *((point, _OLD) for point in ("store.renamed", "store.parent_synced", "store.removed", "store.cleared")),
        *((point, _NEW) for point, _ in _COMMIT),
    ),
    "opening with an unknown content": tuple((point, _NEW) for point, _ in _COMMIT),
    "opening with a damaged database": tuple(
        (point, _NEW)
        for point in ("database.moved_aside", "database.created", "database.before_commit", "database.after_commit")
    ),
    # What is forgotten but lies in its place is found again.
    "removal": (
        *((point, _OLD) for point in ("database.before_commit", "database.after_commit", "store.removing")),
        *((point, _NEW) for point in ("store.renamed", "store.parent_synced", "store.removed")),
    ),
    "load": _COMMIT,
    "swap": _COMMIT,
    "unload": _COMMIT,
    "move of an alias": _COMMIT,
    "deletion of an alias": _COMMIT,
}


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.store_changes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def make(name: str, root: Path, **environment: str) -> int:
            assert server.stdin
            assert server.stdout
            print(json.dumps([name, str(root), environment]), file=server.stdin, flush=True)
            return int(server.stdout.readline())

        yield make


def test_every_point_is_listed_and_every_listed_one_is_reached() -> None:
    """In the code, and by a change that is tried here."""
    code = "".join(path.read_text("utf-8") for path in Path(adaptermux_server.__path__[0]).rglob("*.py"))
    reached = re.findall(r"\breach\((.*?)\)", code.replace("def reach(", ""))

    assert {f'"{point}"' for point in POINTS} == set(reached)
    assert set(POINTS) == {point for deaths in _DEATHS.values() for point, _ in deaths}
    assert CHANGES.keys() == _DEATHS.keys()


@pytest.mark.parametrize(
    ("name", "point", "expected"),
    [(name, point, expected) for name, deaths in _DEATHS.items() for point, expected in deaths],
)
def test_after_a_death_at_any_point_the_store_has_the_old_or_the_new_state(
    tmp_path: Path, mortal: Mortal, name: str, point: str, expected: str
) -> None:
    root = tmp_path / "store"
    CHANGES[name].prepare(root)

    status = mortal(name, root, ADAPTERMUX_FAILPOINT=point, ADAPTERMUX_TESTING="1")

    assert -signal.SIGKILL == status
    assert _states(name)[expected] == _seen(root)
    run(name, root)
    assert _states(name)[_NEW] == _seen(root)


@functools.cache
def _states(name: str) -> dict[str, Picture]:
    """The store before and after a change that nothing disturbs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        CHANGES[name].prepare(root)
        old = _seen(root)
        run(name, root)
        return {_OLD: old, _NEW: _seen(root)}


def _seen(root: Path) -> Picture:
    with open_store(root) as store:
        return picture(store, root)


def test_a_point_that_is_not_named_kills_nobody(tmp_path: Path, mortal: Mortal) -> None:
    root = tmp_path / "store"
    CHANGES["load"].prepare(root)

    assert 0 == mortal("load", root, ADAPTERMUX_TESTING="1")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ADAPTERMUX_FAILPOINT": "database.after_commit"}, "for tests alone"),
        ({"ADAPTERMUX_FAILPOINT": "database.after_commit", "ADAPTERMUX_TESTING": "0"}, "for tests alone"),
        ({"ADAPTERMUX_FAILPOINT": "database", "ADAPTERMUX_TESTING": "1"}, "no point 'database'"),
    ],
)
def test_a_stray_variable_ends_the_start_and_never_a_change(environment: dict[str, str], words: str) -> None:
    started = subprocess.run(
        [sys.executable, "-c", "import adaptermux_server.failpoints"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 1 == started.returncode
    assert words in started.stderr
