"""Small contents, stores and pictures of them. (To the store a content is bytes: these are no real adapters.)"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.store.content import ContentStore
from adaptermux_server.adapters.store.incoming import StoredContent
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredServing
from adaptermux_server.types import AdapterSpec, ExecutorKind, Task

NOW = 1_700_000_000.0
SPEC = AdapterSpec(
    task=Task.TOKEN_CLASSIFICATION,
    problem_type=None,
    labels=("O", "B-«x»"),
    peft_type="LORA",
    rank=8,
    target_modules=("encoder.key", "encoder.query"),
    size_bytes=1 << 40,
    executor=ExecutorKind.SWITCH,
)

Content = Mapping[str, bytes]


def content(number: int) -> Content:
    """A content of its own for each number; some have a `config.json`."""
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights %d" % number}
    return {**files, "config.json": b""} if number % 2 else files


def digest(number: int) -> str:
    """Of `content(number)`."""
    return digest_of(content(number))


def announced(files: Content) -> list[tuple[str, int]]:
    """What an upload says first."""
    return [(name, len(files[name])) for name in sorted(files)]


def chunks(files: Content, size: int = 7) -> Iterator[bytes]:
    """The bytes of an upload, cut without regard for where files end."""
    joined = b"".join(files[name] for name in sorted(files))
    return (joined[begin : begin + size] for begin in range(0, len(joined), size))


def upload(store: ContentStore, files: Content, expected: str | None = None) -> StoredContent:
    """Add a content in pieces."""
    with store.begin(announced(files), expected) as incoming:
        for chunk in chunks(files):
            incoming.write(chunk)
        return incoming.commit()


def write_folder(path: Path, files: Content) -> Path:
    """Write a content as a plain folder."""
    path.mkdir(parents=True)
    for name, part in files.items():
        (path / name).write_bytes(part)
    return path


def open_store(root: Path) -> Store:
    """A store in which it is always the same time."""
    return Store(root, clock=lambda: NOW)


@dataclass(frozen=True)
class Picture:
    """All that can be seen of a store."""

    adapters: Iterable[StoredAdapter]
    earlier_revisions: Mapping[str, tuple[StoredServing, ...]]
    aliases: Iterable[StoredAlias]
    contents: Iterable[str]
    corrupt: frozenset[str]


def picture(store: Store, root: Path) -> Picture:
    """How the store is now. Fails if a content isn't what it is said to be, or if anything is left half-way."""
    assert all(store.content.verify(found) for found in store.content.list())
    assert [] == leftovers(root)
    assert {*store.content.list(), *store.content.corrupt} >= {found.digest for found in store.database.revisions()}
    adapters = store.database.adapters()
    return Picture(
        adapters,
        {adapter.id: store.database.earlier_revisions(adapter.id) for adapter in adapters},
        store.database.aliases(),
        store.content.list(),
        frozenset(store.content.corrupt),
    )


def execute(path: Path, *statements: str) -> None:
    """Change a database behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def leftovers(root: Path) -> list[str]:
    """What lies in the folder for contents that come or go."""
    return [path.name for path in (root / "incoming").iterdir()]


def places(root: Path) -> list[str]:
    """Digests of what lies in the places of contents, whether the store knows of it or not."""
    return sorted(path.name for path in (root / "content").glob("*/*"))


def assert_nothing_came(store: Store, root: Path) -> None:
    """The store is as empty as it began."""
    assert ([], (), []) == (store.content.list(), store.database.revisions(), places(root))
    assert [] == leftovers(root)
