"""Uploads as clients make them: contents in memory, senders under a test's control, a catalog that can be held."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import torch

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.checkpoint import Checkpoint, read_checkpoint
from adaptermux_server.adapters.limits import CheckpointLimits
from adaptermux_server.adapters.store.incoming import StoredContent
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.errors import ShuttingDownError
from tests.adapters.builders import LORA_CONFIG, lora_tensors, write_adapter
from tests.adapters.store.builders import Content, announced, leftovers, places

WRITE_BYTES = 1 << 20
"""What is written at once."""
_PATIENCE_SECONDS = 20.0


def adapter_content(folder: Path, seed: int = 0, **options: Any) -> Content:
    """The files of an adapter that `write_adapter` makes."""
    write_adapter(folder, seed=seed, **options)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def large_tensors() -> Mapping[str, torch.Tensor]:
    """Of some megabytes: more than what is written at once."""
    return {**lora_tensors(), "base_model.model.classifier.weight": torch.zeros(3, 300_000)}


def joined(content: Content) -> bytes:
    """The bytes of all files, as they are sent."""
    return b"".join(content[name] for name in sorted(content))


class Sender(AsyncIterator[bytes]):
    """Sends some chunks, then what it is told to; it ends if it is told so, or has `ends`."""

    def __init__(self, chunks: Sequence[bytes] = (), *, ends: bool = False) -> None:
        self.num_asked = 0
        """How often the receiver asked for a chunk."""
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._waits = asyncio.Event()
        for chunk in (*chunks, *([None] if ends else [])):
            self._chunks.put_nowait(chunk)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self.num_asked += 1
        if self._chunks.empty():
            self._waits.set()
        chunk = await self._chunks.get()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def send(self, *chunks: bytes | None) -> None:
        """Send more; None: it was all."""
        for chunk in chunks:
            self._chunks.put_nowait(chunk)

    async def waits(self) -> None:
        """Return once all was taken and more is asked for."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._waits.wait()


def sender_of(content: Content) -> Sender:
    """Sends a whole content, in two chunks."""
    sent = joined(content)
    return Sender([sent[:100], sent[100:]], ends=True)


class Gate:
    """Holds a thread that comes to it until it is opened."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def wait(self) -> None:
        """In the thread: say so, and wait."""
        self._reached.set()
        assert self._open.wait(_PATIENCE_SECONDS), "a test held a thread for too long"

    async def reached(self) -> None:
        """Return once a thread waits, or has waited."""
        assert await asyncio.to_thread(self._reached.wait, _PATIENCE_SECONDS)

    def open(self) -> None:
        """Let everyone pass."""
        self._open.set()


class HeldCatalog(Catalog):
    """A catalog whose calls, by the names of their functions, are counted and may be held before they begin."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.store = store
        self.gates: dict[str, Gate] = {}
        self.calls: list[str] = []

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        return await super().call(self._gated, function, *args)

    def _gated(self, function: Callable[..., Any], *args: Any) -> Any:
        self.calls.append(function.__name__)
        if gate := self.gates.get(function.__name__):
            gate.wait()
        return function(*args)


class World:
    """Uploads into a store of its own, and contents to upload."""

    def __init__(self, root: Path) -> None:
        self.root = root / "store"
        self.catalog = HeldCatalog(Store(self.root))
        self.uploads = Uploads(self.catalog, max_uploads=3, stall_seconds=20)
        self.content = adapter_content(root / "good")
        self.other = adapter_content(root / "other", seed=1, model_config={"id2label": {"0": "a", "1": "b", "2": "c"}})
        self.large = adapter_content(root / "large", tensors=large_tensors())
        self.bad = adapter_content(root / "bad", config={**LORA_CONFIG, "layer_replication": [[0, 4]]})

    def begin(
        self, content: Content, sender: Sender | None = None, digest: str | None = None
    ) -> "asyncio.Task[StoredContent]":
        """Upload in a task."""
        chunks = sender or sender_of(content)
        return asyncio.create_task(self.uploads.receive(announced(content), digest, chunks))

    def gate(self, step: str, monkeypatch: pytest.MonkeyPatch) -> Gate:
        """Hold a call of the catalog, or `check`."""
        gate = self.catalog.gates[step] = Gate()

        def held_check(folder: Path, limits: CheckpointLimits) -> Checkpoint:
            gate.wait()
            return read_checkpoint(folder, limits)

        if step == "check":
            monkeypatch.setattr("adaptermux_server.adapters.uploads.read_checkpoint", held_check)
        return gate

    @property
    def stored(self) -> list[str]:
        """What the store has; it is what lies on the disk, unchanged, with nothing half-way."""
        assert [] == leftovers(self.root)
        assert places(self.root) == self.catalog.store.content.list()
        assert all(self.catalog.store.content.verify(digest) for digest in places(self.root))
        return places(self.root)


@asynccontextmanager
async def uploading(root: Path) -> AsyncIterator[World]:
    """At the end all places are free and nothing is left over."""
    world = World(root)
    yield world
    senders = [Sender() for _ in range(3)]
    tasks = [world.begin(world.content, sender) for sender in senders]
    for sender in senders:
        await sender.waits()
    await world.uploads.close()
    for task in tasks:
        with pytest.raises(ShuttingDownError):
            await task
    assert [] == leftovers(world.root)
    world.catalog.close()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As many descriptors after the context as before."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert before == len(os.listdir("/proc/self/fd"))
