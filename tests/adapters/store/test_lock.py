"""A store has one process at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adaptermux_server.adapters.store.lock import StoreLockedError
from adaptermux_server.adapters.store.store import Store
from tests.adapters.store.builders import content, open_store, upload

HOLD = """
import sys
from pathlib import Path
from adaptermux_server.adapters.store.store import Store
with Store(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_and_told_who_holds_the_store(root: Path) -> None:
    """Until the first ends, even by `kill -9`."""
    command = [sys.executable, "-c", HOLD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert "held\n" == holder.stdout.readline()

        with pytest.raises(StoreLockedError) as caught:
            Store(root)
        holder.kill()

    assert re.fullmatch(rf"process {holder.pid}, started \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", caught.value.holder)
    assert caught.value.holder in str(caught.value)
    Store(root).close()


def test_what_an_earlier_holder_wrote_is_gone(root: Path) -> None:
    root.mkdir()
    (root / "lock").write_text("process 1, started long ago by somebody with a long name, on another machine\n")

    with open_store(root), pytest.raises(StoreLockedError) as caught:
        open_store(root)

    assert f"process {os.getpid()}, started 2023-11-14T22:13:20+00:00" == caught.value.holder


def test_a_refused_opening_touches_nothing(store: Store, root: Path) -> None:
    """What the holder is writing just then least of all."""
    (root / "incoming" / "half").mkdir()

    with pytest.raises(StoreLockedError):
        open_store(root)

    assert (root / "incoming" / "half").is_dir()
    assert not upload(store.content, content(0)).already_stored


def test_an_opening_that_fails_lets_go_of_the_lock(root: Path) -> None:
    root.mkdir()
    (root / "content").write_text("not a folder")

    with pytest.raises(FileExistsError):
        open_store(root)

    (root / "content").unlink()
    open_store(root).close()
