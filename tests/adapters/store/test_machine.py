"""Changes and restarts in any order: the store is what a few dictionaries are."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredServing
from adaptermux_server.errors import DigestMismatchError, RevisionNotFoundError
from adaptermux_server.types import ProblemType
from tests.adapters.store.builders import (
    SPEC,
    Picture,
    announced,
    content,
    digest,
    open_store,
    picture,
    upload,
    write_folder,
)

NUMBERS = st.integers(0, 13)
IDS = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["prod", "canary"])
TEXTS = st.text(max_size=5)
ADAPTERS = st.builds(
    StoredAdapter,
    id=IDS,
    digest=NUMBERS.map(digest),
    labels=st.lists(TEXTS, max_size=2).map(tuple),
    problem_type=st.none() | st.sampled_from(ProblemType),
    weight=st.floats(0, 1000, exclude_min=True),
    max_wait_seconds=st.none() | st.floats(0, 3600),
    pinned=st.booleans(),
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=2),
    uri=TEXTS,
    changed_at=st.floats(0, 9e9),
    spec=st.none() | st.just(SPEC),
    base=TEXTS,
)


class StoreMachine(RuleBasedStateMachine):
    """A store, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name) / "store"
        self.store = open_store(self.root)
        self.contents: set[str] = set()
        self.adapters: dict[str, StoredAdapter] = {}
        self.earlier: dict[str, tuple[StoredServing, ...]] = {}
        self.aliases: dict[str, StoredAlias] = {}

    @property
    def used(self) -> set[str]:
        now = {adapter.digest for adapter in self.adapters.values()}
        return now.union(found.digest for earlier in self.earlier.values() for found in earlier)

    @rule(numbers=st.lists(NUMBERS, min_size=1, max_size=5), expect=st.booleans())
    def add(self, numbers: list[int], expect: bool) -> None:
        for number in numbers:
            stored = upload(self.store.content, content(number), digest(number) if expect else None)

            assert (digest(number) in self.contents) == stored.already_stored
            self.contents.add(stored.digest)

    @rule(number=NUMBERS)
    def add_folder(self, number: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            stored = self.store.content.add_folder(write_folder(Path(folder) / "a", content(number)))
        self.contents.add(stored.digest)

    @rule(number=NUMBERS)
    def add_what_was_not_announced(self, number: int) -> None:
        with pytest.raises(DigestMismatchError):
            upload(self.store.content, content(number), digest(99))

    @rule(number=NUMBERS)
    def begin_and_give_up(self, number: int) -> None:
        with self.store.content.begin(announced(content(number))) as incoming:
            incoming.write(b"{}")

    @rule(number=NUMBERS)
    def remove(self, number: int) -> None:
        removed = self.store.content.remove(digest(number))

        assert (digest(number) not in self.used) == removed
        if removed:
            self.contents.discard(digest(number))

    @rule(adapter=ADAPTERS)
    def put_adapter_of_any_content(self, adapter: StoredAdapter) -> None:
        if adapter.digest in self.contents:
            self.put(adapter)
        else:
            with pytest.raises(RevisionNotFoundError):
                self.store.database.put_adapter(adapter)

    @precondition(lambda self: self.contents)
    @rule(adapter=ADAPTERS, data=st.data())
    def put_adapter(self, adapter: StoredAdapter, data: st.DataObject) -> None:
        self.put(replace(adapter, digest=data.draw(st.sampled_from(sorted(self.contents)))))

    def put(self, adapter: StoredAdapter) -> None:
        before, known = self.adapters.get(adapter.id), self.earlier.get(adapter.id, ())
        if before and before.digest != adapter.digest:
            known = (before.serving, *(found for found in known if found.digest != adapter.digest))[:10]
        self.adapters[adapter.id], self.earlier[adapter.id] = adapter, known

        assert known == self.store.database.put_adapter(adapter)

    @rule(adapter_id=IDS)
    def delete_adapter(self, adapter_id: str) -> None:
        self.store.database.delete_adapter(adapter_id)
        self.adapters.pop(adapter_id, None)
        self.earlier.pop(adapter_id, None)

    @rule(name=NAMES, points_to=st.lists(st.tuples(IDS, st.integers(1, 1_000_000)), max_size=3), time=st.floats(0, 9e9))
    def put_alias(self, name: str, points_to: list[tuple[str, int]], time: float) -> None:
        self.aliases[name] = StoredAlias(name, tuple(points_to), time)
        self.store.database.put_alias(self.aliases[name])

    @rule(name=NAMES)
    def delete_alias(self, name: str) -> None:
        self.store.database.delete_alias(name)
        self.aliases.pop(name, None)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.root)

        assert self.store.database.dropped is None

    @invariant()
    def store_and_dictionaries_agree(self) -> None:
        expected = Picture(
            adapters=tuple(adapter for _, adapter in sorted(self.adapters.items())),
            earlier_revisions=self.earlier,
            aliases=tuple(alias for _, alias in sorted(self.aliases.items())),
            contents=sorted(self.contents),
            corrupt=frozenset(),
        )
        assert expected == picture(self.store, self.root)
        unused = {revision.digest for revision in self.store.database.unused_revisions()}
        assert self.contents - self.used == unused

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(deadline=None, max_examples=25, stateful_step_count=25)
