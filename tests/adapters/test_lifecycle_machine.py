"""Loads, unloads, deletions, options, aliases, requests and restarts in any order: all is as a few dictionaries say."""

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.errors import (
    AdapterNotReadyError,
    AliasNotFoundError,
    BaseMismatchError,
    ConcurrentChangeError,
    DrainTimeoutError,
    RevisionNotFoundError,
    StoreFullError,
)
from adaptermux_server.types import AdapterState
from tests.adapters.builders import write_adapter
from tests.adapters.lifecycle_model import LifecycleModel, Refusal
from tests.adapters.rig import BROKEN, Rig, failing, until_settled
from tests.adapters.test_watch_feed import Watcher

_Result = TypeVar("_Result")
IDS = st.sampled_from(["x", "y", "prod"])
NAMES = st.sampled_from(["prod", "canary", "y"])
CONTENTS = st.integers(0, 12)
WEIGHTS = st.sampled_from([1.0, 2.0, 3.0])
DIGITS = st.sampled_from([8, 12, 64])


class LifecycleMachine(RuleBasedStateMachine):
    """A control plane with little room in the engine, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.digests = [self._written(number) for number in range(13)]
        self.rig: Rig = self.run(self._opened())
        self.watcher = Watcher(self.rig)
        self.requests = ExitStack()
        self.model = LifecycleModel()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    def _written(self, number: int) -> str:
        folder = write_adapter(self.root / f"n{number}", seed=50 + number)
        return digest_of({path.name: path.read_bytes() for path in folder.iterdir()})

    async def _opened(self) -> Rig:
        return Rig(self.root, TierLimits(device_adapters=2))

    def attempt(self, work: Coroutine[Any, Any, object], error: Refusal) -> bool:
        """Do it, and assert that it ends as expected; returns whether it was done."""
        if error is None:
            self.run(work)
            return True
        with pytest.raises(error):
            self.run(work)
        return False

    @rule(adapter_id=IDS, number=CONTENTS, weight=WEIGHTS)
    def load(self, adapter_id: str, number: int, weight: float) -> None:
        work = self.rig.load(adapter_id, f"n{number}", weight=weight)
        if self.attempt(work, self.model.refusal_of_load(adapter_id)):
            self.model.load(adapter_id, self.digests[number], weight)

    @rule(number=CONTENTS, count=st.integers(2, 12), weight=WEIGHTS)
    def load_one_after_the_other(self, number: int, count: int, weight: float) -> None:
        for step in range(count):
            self.load("x", (number + step) % 13, weight)

    @rule(adapter_id=IDS, number=CONTENTS, weight=WEIGHTS)
    def load_revision(self, adapter_id: str, number: int, weight: float) -> None:
        digest = self.digests[number]
        missing = None if digest in self.model.contents else RevisionNotFoundError
        refusal = self.model.refusal_of_load(adapter_id)
        if self.attempt(self.rig.load(adapter_id, revision=digest, weight=weight), refusal or missing):
            self.model.load(adapter_id, digest, weight)
        elif refusal is None:
            self.model.fail(adapter_id)

    @rule(adapter_id=IDS, numbers=st.tuples(CONTENTS, CONTENTS), weight=WEIGHTS)
    def load_twice_at_once(self, adapter_id: str, numbers: tuple[int, int], weight: float) -> None:
        if self.model.refusal_of_load(adapter_id):
            return

        async def both() -> list[Any]:
            loads = (self.rig.load(adapter_id, f"n{number}", weight=weight) for number in numbers)
            return await asyncio.gather(*loads, return_exceptions=True)

        first, second = self.run(both())
        assert self.digests[numbers[0]] == first.revision
        assert isinstance(second, ConcurrentChangeError)
        self.model.load(adapter_id, self.digests[numbers[0]], weight)

    @rule(adapter_id=IDS, number=CONTENTS, step=st.sampled_from(["prepare", "install"]))
    def load_what_does_not_fit(self, adapter_id: str, number: int, step: str) -> None:
        now = self.model.adapters.get(adapter_id)
        if self.model.refusal_of_load(adapter_id) or (now and not now.draining and now.digest == self.digests[number]):
            return
        self.rig.model.failures[step] = BROKEN
        self.attempt(self.rig.load(adapter_id, f"n{number}"), BaseMismatchError)
        self.rig.model.failures.clear()
        if step == "install":
            self.model.contents.add(self.digests[number])
        self.model.fail(adapter_id)

    @rule(adapter_id=IDS, number=CONTENTS)
    def load_into_a_full_store(self, adapter_id: str, number: int) -> None:
        if self.model.refusal_of_load(adapter_id):
            return
        with pytest.MonkeyPatch.context() as patch:
            failing(patch, self.rig.catalog, "put_adapter")
            self.attempt(self.rig.load(adapter_id, f"n{number}", weight=9.0), StoreFullError)
        self.model.contents.add(self.digests[number])
        self.model.fail(adapter_id)

    @rule(adapter_id=IDS, weight=WEIGHTS, pin=st.booleans())
    def update(self, adapter_id: str, weight: float, pin: bool) -> None:
        pinned = pin and self.model.pinned in (None, adapter_id)  # two would fill the engine
        work = self.rig.update(adapter_id, weight=weight, pinned=pinned)
        if self.attempt(work, self.model.refusal_of_update(adapter_id)):
            self.model.adapters[adapter_id].weight = weight
            if pinned or self.model.pinned == adapter_id:
                self.model.pinned = adapter_id if pinned else None

    @rule(adapter_id=IDS, delete=st.booleans())
    def unload(self, adapter_id: str, delete: bool) -> None:
        refusal = self.model.refusal_of_unload(adapter_id, delete)
        seconds = 5.0 if refusal is None else 0.0
        if self.attempt(self.rig.lifecycle.unload(adapter_id, seconds, delete=delete), refusal):
            self.model.unload(adapter_id, delete)
        elif refusal is DrainTimeoutError:
            self.model.adapters[adapter_id].draining = True

    @rule(name=NAMES, data=st.data())
    def set_alias(self, name: str, data: st.DataObject) -> None:
        references = [
            "x",
            "y",
            *(f"{id_}@{digest}" for id_, it in self.model.adapters.items() for digest in it.digests),
        ]
        wanted = st.dictionaries(st.sampled_from(references), st.integers(1, 3), min_size=1, max_size=3)
        targets = data.draw(wanted)
        work = self.rig.alias(name, **{target.replace("@", "__"): weight for target, weight in targets.items()})
        if self.attempt(work, self.model.refusal_of_alias(name, targets)):
            self.model.aliases[name] = targets

    @rule(name=NAMES)
    def delete_alias(self, name: str) -> None:
        error = None if name in self.model.aliases else AliasNotFoundError
        if self.attempt(self.rig.control.aliases.delete(name), error):
            del self.model.aliases[name]

    @precondition(lambda self: self.model.adapters)
    @rule(data=st.data(), digits=DIGITS)
    def ask(self, data: st.DataObject, digits: int) -> None:
        adapter_id = data.draw(st.sampled_from(sorted(self.model.adapters)))
        now = self.model.adapters[adapter_id]
        if now.draining:
            self.attempt(self.rig.answer(adapter_id), AdapterNotReadyError)
            return
        digest = data.draw(st.sampled_from(now.digests))
        assert digest == self.run(self.rig.answer(f"{adapter_id}@{digest[:digits]}"))
        assert now.digest == self.run(self.rig.answer(adapter_id))

    @precondition(lambda self: self.model.aliases)
    @rule(data=st.data(), key=st.sampled_from(["", "a", "b"]))
    def ask_an_alias(self, data: st.DataObject, key: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.aliases)))
        found: set[str] = set()
        for target in self.model.aliases[name]:
            adapter_id, _, digest = target.partition("@")
            now = self.model.adapters.get(adapter_id)
            if now is None or now.draining or (digest and digest not in now.digests):
                return
            found.add(digest or now.digest)
        assert self.run(self.rig.answer(name, key)) in found

    @precondition(lambda self: any(not it.draining for it in self.model.adapters.values()))
    @rule(data=st.data())
    def begin_a_request(self, data: st.DataObject) -> None:
        ids = sorted(id_ for id_, it in self.model.adapters.items() if not it.draining)
        adapter_id = data.draw(st.sampled_from(ids))
        self.requests.enter_context(self.rig.registry.lease(adapter_id))
        self.model.num_requests[adapter_id] = self.model.num_requests.get(adapter_id, 0) + 1

    @rule()
    def end_all_requests(self) -> None:
        async def end() -> None:
            self.requests.close()
            await until_settled(self.rig)

        self.run(end())
        self.model.num_requests.clear()

    @rule(base=st.sampled_from(["base 1", "base 2"]))
    def restart(self, base: str) -> None:
        self.end_all_requests()
        self.run(self.rig.restart(base))
        self.watcher = Watcher(self.rig, self.watcher.token)
        self.model.restart()

    @invariant()
    def all_is_as_the_dictionaries_say(self) -> None:
        found = {
            record.id: (record.state.value, record.revision, record.weight, record.earlier_revisions, record.pinned)
            for record in self.rig.registry.list()
            if record.state is not AdapterState.FAILED
        }
        assert found == {
            adapter_id: (
                *("DRAINING" if it.draining else "READY", it.digest, it.weight, tuple(it.earlier)),
                self.model.pinned == adapter_id,
            )
            for adapter_id, it in self.model.adapters.items()
        }
        failed = {record.id for record in self.rig.registry.list() if record.state is AdapterState.FAILED}
        assert self.model.failed == failed
        aliases = {
            alias.name: {target.adapter: target.weight for target in alias.targets}
            for alias in self.rig.registry.aliases()
        }
        assert self.model.aliases == aliases
        assert self.model.contents == {digest for digest in self.digests if self.rig.catalog.has(digest)}

    @invariant()
    def watchers_know_it(self) -> None:
        self.run(self.watcher.news())
        assert self.watcher.agrees_with(self.rig)

    @invariant()
    def nothing_is_left_behind(self) -> None:
        if not self.model.num_requests:
            self.run(until_settled(self.rig))
            self.rig.assert_consistent()

    def teardown(self) -> None:
        self.end_all_requests()
        self.run(self.rig.close())
        self.runner.close()
        self.folder.cleanup()


TestLifecycleMachine = LifecycleMachine.TestCase
TestLifecycleMachine.settings = settings(deadline=None, max_examples=15, stateful_step_count=30)
