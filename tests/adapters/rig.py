"""A lifecycle between fakes, on real files and in a real store."""

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import pytest

from adaptermux_server.adapters.aliases import Alias, AliasTarget
from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.control import build_control_plane
from adaptermux_server.adapters.options import LoadOptions, OptionsChange
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.store.scan import place_of
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.errors import BaseMismatchError, StoreFullError
from tests.adapters.builders import write_adapter
from tests.adapters.fakes import FakeModelHost, FakeQueueHost, Gate

BROKEN = BaseMismatchError("encoder.weight", "has another shape")


class Rig:
    """A control plane between fakes, with adapters `a`, `b` and `c` (three contents) on disk."""

    def __init__(self, root: Path, limits: TierLimits | None = None, base: str = "base 1") -> None:
        self.root = root
        self.now = 100.0
        self.limits, self.base = limits, base
        for seed, name in enumerate("abc"):
            if not (root / name).exists():
                write_adapter(root / name, seed=seed)
        self._open()

    def _open(self) -> None:
        self.registry = AdapterRegistry(0.25, clock=lambda: self.now)
        self.model = FakeModelHost()
        self.queue = FakeQueueHost()
        self.catalog = Catalog(Store(self.root / "store", clock=lambda: self.now))
        self.control = build_control_plane(
            self.registry,
            self.model,
            self.queue,
            self.catalog,
            Sources([self.root], self.catalog.workspace),
            base=self.base,
            tier_limits=self.limits,
        )
        self.lifecycle, self.tiers = self.control.lifecycle, self.control.tiers

    async def close(self) -> None:
        await self.control.close()
        await asyncio.to_thread(self.catalog.close)

    async def stop_and_open(self, base: str | None = None) -> None:
        """Stop, and open the same store again; nothing is restored yet. `base`: another fingerprint."""
        await self.close()
        self.base = base or self.base
        self._open()

    async def restart(self, base: str | None = None) -> None:
        """Stop and begin anew on the same store; `base`: another fingerprint."""
        await self.stop_and_open(base)
        await self.control.restoring.run()
        await self.control.restoring.bring_up_pinned()
        await until_settled(self)

    async def load(self, adapter_id: str = "x", content: str = "a", **options: Any) -> AdapterRecord:
        if "revision" not in options:
            options["uri"] = str(self.root / content)
        return await self.lifecycle.load(LoadOptions(adapter_id, **options))

    def start(self, adapter_id: str = "x", content: str = "a", **options: Any) -> "asyncio.Task[AdapterRecord]":
        return asyncio.create_task(self.load(adapter_id, content, **options))

    async def update(self, adapter_id: str = "x", **values: Any) -> AdapterRecord:
        return await self.lifecycle.update(adapter_id, OptionsChange(values))

    async def alias(self, name: str, **weights: int) -> Alias:
        """Point an alias at adapters (a double underscore stands for the @)."""
        targets = tuple(AliasTarget(target.replace("__", "@"), weight) for target, weight in weights.items())
        return await self.control.aliases.set(Alias(name, targets))

    async def delete(self, adapter_id: str = "x", **options: Any) -> AdapterRecord:
        return await self.lifecycle.unload(adapter_id, delete=True, **options)

    def content(self, digest: str) -> Path:
        """Where the store has a content."""
        return place_of(self.root / "store" / "content", digest)

    async def answer(self, reference: str = "x", request_key: str = "") -> str:
        """Who serves a request: the revision, checked against what is in the engine."""
        with self.registry.lease(reference, request_key) as served:
            async with self.tiers.holding([served]):
                assert self.model.slots[served.held_slot].digest == served.revision
                return served.revision

    def slot(self, adapter_id: str = "x") -> int:
        with self.registry.lease(adapter_id) as served:
            assert served.slot is not None
            return served.slot

    def assert_consistent(self) -> None:
        """Model, queue and registry agree on the slots in use, and nothing is claimed or held for ever."""
        entries = self.registry.entries()
        slots = [served.slot for entry in entries for served in entry.revisions if served.slot is not None]
        assert len(set(slots)) == len(slots)
        assert set(slots) == set(self.model.slots) == set(self.queue.slots)
        assert [entry.id for entry in entries if entry.changing] == []
        assert [served.id for entry in entries for served in entry.revisions if served.num_holds] == []


def gated(patch: pytest.MonkeyPatch, catalog: Catalog, step: str) -> Gate:
    """Hold a call of the catalog before it reaches the store."""
    gate, call = Gate(), getattr(catalog, step)

    async def passing(*args: object) -> object:
        await gate.passing()
        return await call(*args)

    patch.setattr(catalog, step, passing)
    gate.hold()
    return gate


def failing(patch: pytest.MonkeyPatch, catalog: Catalog, step: str, error: Exception | None = None) -> None:
    """Let a call of the catalog fail, as a full disk does."""

    async def fail(*_: object) -> NoReturn:
        raise error or StoreFullError

    patch.setattr(catalog, step, fail)


def spoil(content: Path) -> None:
    """Change a bit of a content on the disk, as a bad disk does: the last number becomes another, as good as before."""
    weights = content / "adapter_model.safetensors"
    found = bytearray(weights.read_bytes())
    found[-4] ^= 1
    weights.write_bytes(found)


async def turn() -> None:
    """Let every task that can run do so up to its next wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until_settled(rig: Rig) -> None:
    """Wait for all changes under way."""
    for part in (rig.lifecycle, rig.control.aliases):
        await part._tasks.wait()
    await rig.tiers.settle()
    await turn()
