"""Changes of a store, to be made here or in processes that die on the way.

As a program it reads one request a line, a JSON list of a change, a folder, and what to add to the environment. It
makes each change in a process of its own, and answers each with a line: how that one ended, as `subprocess` has it.
"""

import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adaptermux_server import failpoints
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias
from tests.adapters.store.builders import content, digest, execute, open_store, upload, write_folder

DATABASE = "registry.sqlite"


@dataclass(frozen=True)
class Change:
    """`prepare`: what the store's folder is before. `make`: the change, in the open store."""

    prepare: Callable[[Path], None]
    make: Callable[[Store], object]


def run(name: str, root: Path) -> None:
    """Open the store, make the change, and close it."""
    with open_store(root) as store:
        CHANGES[name].make(store)


def _fill(root: Path) -> None:
    with open_store(root) as store:
        for number in range(4):
            upload(store.content, content(number))
        for number in range(2):
            store.database.put_adapter(StoredAdapter("a", digest(number)))
        store.database.put_adapter(StoredAdapter("b", digest(0)))
        store.database.put_alias(StoredAlias("prod", (("a", 1), ("b", 1))))


def _fill_and_damage(root: Path) -> None:
    _fill(root)
    (root / "content" / digest(2)[:2] / digest(2) / "adapter_config.json").unlink()


def _fill_and_put_beside(root: Path) -> None:
    _fill(root)
    write_folder(root / "content" / digest(9)[:2] / digest(9), content(9))


def _fill_and_spoil(root: Path) -> None:
    _fill(root)
    execute(root / DATABASE, "DROP TABLE aliases")


def _nothing(_: object) -> None:
    pass


CHANGES = {
    "first opening": Change(_nothing, _nothing),
    "upload": Change(_fill, lambda store: upload(store.content, content(5), digest(5))),
    "upload of what is damaged": Change(_fill_and_damage, lambda store: upload(store.content, content(2))),
    "opening with an unknown content": Change(_fill_and_put_beside, _nothing),
    "opening with a damaged database": Change(_fill_and_spoil, _nothing),
    "removal": Change(_fill, lambda store: store.content.remove(digest(3))),
    "load": Change(_fill, lambda store: store.database.put_adapter(StoredAdapter("c", digest(2)))),
    "swap": Change(_fill, lambda store: store.database.put_adapter(StoredAdapter("a", digest(2)))),
    "unload": Change(_fill, lambda store: store.database.delete_adapter("a")),
    "move of an alias": Change(_fill, lambda store: store.database.put_alias(StoredAlias("prod", (("b", 1),)))),
    "deletion of an alias": Change(_fill, lambda store: store.database.delete_alias("prod")),
}


def _run_with(name: str, root: Path, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    importlib.reload(failpoints)
    run(name, root)


def main() -> None:
    """Serve requests until the input ends. (A fork of this process costs a tenth of a new one.)"""
    for line in sys.stdin:
        name, root, environment = json.loads(line)
        process = multiprocessing.get_context("fork").Process(target=_run_with, args=(name, Path(root), environment))
        process.start()
        process.join()
        print(process.exitcode, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
