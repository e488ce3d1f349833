"""A server's store with adapters of all kinds, what can be seen of it from outside, and the changes of it by RPC."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc

from adaptermux.v1 import adapter_admin_pb2 as admin_pb2
from adaptermux.v1 import infer_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_client.errors import from_rpc_error
from adaptermux_server.adapters.canonical import CONTENT_FILES, digest_of
from adaptermux_server.types import Task
from tests.e2e.expected import TEXTS, Expected
from tests.support.models import make_adapter, make_base

_NAMES = ("one", "two", "three", "four", "five")
_CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Picture:
    """All that must be old or new as a whole."""

    adapters: tuple[tuple[object, ...], ...]
    aliases: tuple[tuple[object, ...], ...]
    answered_by: Mapping[str, str]
    """The revision that answers, by reference."""
    contents: frozenset[str]
    """Names of the contents that can be loaded by their revisions."""

    def without(self, content: str) -> "Picture":
        """The picture with no regard for whether one content is there."""
        return Picture(self.adapters, self.aliases, self.answered_by, self.contents - {content})


@dataclass
class DurableWorld:
    """A base, and five adapters on it."""

    root: Path
    base: Path = field(init=False)

    def __post_init__(self) -> None:
        self.base = make_base("bert", self.root / "base", num_hidden_layers=1)
        for seed, name in enumerate(_NAMES):
            make_adapter(
                self.base, self.folder(name), Task.SEQUENCE_CLASSIFICATION, seed=seed, target_modules=["query"]
            )

    @property
    def arguments(self) -> list[str]:
        """Of every server, but for its store. (A server without the bank starts in a fifth of the time.)"""
        roots = ["--adapter-root", str(self.root / "adapters")]
        return ["--model", str(self.base), *roots, "--num-threads", "1", "--executor", "switch"]

    def folder(self, name: str) -> Path:
        return self.root / "adapters" / name

    def files(self, name: str) -> dict[str, bytes]:
        found = ((file, self.folder(name) / file) for file in CONTENT_FILES)
        return {file: path.read_bytes() for file, path in found if path.exists()}

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Revisions by name."""
        return {name: digest_of(self.files(name)) for name in _NAMES}

    @cached_property
    def expected(self) -> Mapping[str, Expected]:
        """What plain PEFT answers, by revision."""
        return {
            digest: Expected(self.base, self.folder(name), Task.SEQUENCE_CLASSIFICATION)
            for name, digest in self.digests.items()
        }

    def copied(self, store: Path, target: Path) -> Path:
        return Path(shutil.copytree(store, target))


class Operator:
    """Calls a server as an operator does, and asks it as a client does."""

    def __init__(self, world: DurableWorld, data: str, admin: str) -> None:
        # Each server has ports of its own, which an earlier one may have had: no connection is shared.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channels = [grpc.insecure_channel(address, options) for address in (data, admin)]
        self._world = world
        self.infer: Any = InferStub(self._channels[0])
        self.admin: Any = AdapterAdminStub(self._channels[1])

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def upload(self, name: str) -> Any:
        return self.admin.UploadAdapter(_upload(self._world.files(name)), timeout=_CALL_SECONDS)

    def load(self, adapter_id: str, name: str, *, by_revision: bool = False, **fields: Any) -> Any:
        if by_revision:
            fields["revision"] = self._world.digests[name]
        else:
            fields["uri"] = str(self._world.folder(name))
        request = admin_pb2.LoadAdapterRequest(adapter_id=adapter_id, **fields)
        return self.admin.LoadAdapter(request, timeout=_CALL_SECONDS).adapter

    def update(self, **fields: Any) -> Any:
        request = admin_pb2.UpdateAdapterRequest(adapter=admin_pb2.Adapter(**fields))
        return self.admin.UpdateAdapter(request, timeout=_CALL_SECONDS).adapter

    def alias(self, name: str, **targets: int) -> Any:
        """Set an alias (a double underscore stands for the @)."""
        found = [
            admin_pb2.AliasTarget(adapter=target.replace("__", "@"), weight=weight)
            for target, weight in targets.items()
        ]
        request = admin_pb2.SetAliasRequest(alias=admin_pb2.Alias(name=name, targets=found))
        return self.admin.SetAlias(request, timeout=_CALL_SECONDS).alias

    def delete_alias(self, name: str) -> Any:
        return self.admin.DeleteAlias(admin_pb2.DeleteAliasRequest(name=name), timeout=_CALL_SECONDS)

    def unload(self, adapter_id: str) -> Any:
        return self.admin.UnloadAdapter(admin_pb2.UnloadAdapterRequest(adapter_id=adapter_id), timeout=_CALL_SECONDS)

    def delete(self, adapter_id: str) -> Any:
        return self.admin.DeleteAdapter(admin_pb2.DeleteAdapterRequest(adapter_id=adapter_id), timeout=_CALL_SECONDS)

    def adapters(self) -> list[Any]:
        return list(self.admin.ListAdapters(admin_pb2.ListAdaptersRequest(), timeout=_CALL_SECONDS).adapters)

    def aliases(self) -> list[Any]:
        return list(self.admin.ListAliases(admin_pb2.ListAliasesRequest(), timeout=_CALL_SECONDS).aliases)

    def answered_by(self, reference: str, key: str = "") -> str:
        """Ask, and assert that the answer is that of plain PEFT; returns the revision."""
        inputs = [infer_pb2.Input(text=text) for text in TEXTS[:2]]
        options = infer_pb2.ClassifyOptions(return_logits=True)
        request = infer_pb2.ClassifyRequest(adapter=reference, inputs=inputs, options=options)
        metadata = [("x-request-key", key)] if key else []
        response = self.infer.Classify(request, timeout=_CALL_SECONDS, metadata=metadata)
        for index, result in enumerate(response.results):
            self._world.expected[response.adapter.revision].assert_answered(index, result)
        return str(response.adapter.revision)

    def picture(self) -> Picture:
        """How all is now."""
        adapters = self.adapters()
        references = [
            reference
            for adapter in adapters
            for reference in (adapter.id, *(f"{adapter.id}@{revision}" for revision in adapter.earlier_revisions))
        ]
        aliases = self.aliases()
        answered_by = {reference: self.answered_by(reference) for reference in references}
        for alias in aliases:
            answered_by |= {f"{alias.name} {key}": self.answered_by(alias.name, key) for key in ("a", "b", "c")}
        return Picture(
            tuple(_durable(adapter) for adapter in adapters),
            tuple((alias.name, *((it.adapter, it.weight) for it in alias.targets)) for alias in aliases),
            answered_by,
            frozenset(name for name in _NAMES if self._is_stored(name)),
        )

    def _is_stored(self, name: str) -> bool:
        try:
            self.load("new", name, by_revision=True, validate_only=True)
        except grpc.RpcError as error:
            if from_rpc_error(error).reason != "REVISION_NOT_FOUND":
                raise
            return False
        return True


def _durable(adapter: Any) -> tuple[object, ...]:
    return (
        *(adapter.id, adapter.state, adapter.revision, adapter.uri, tuple(adapter.earlier_revisions)),
        *(adapter.weight, adapter.max_wait.seconds, adapter.pinned, tuple(sorted(adapter.metadata.items()))),
        *(tuple(adapter.labels), adapter.task, adapter.problem_type, adapter.size_bytes),
    )


def _upload(files: Mapping[str, bytes]) -> Iterator[Any]:
    announced = [admin_pb2.UploadFile(name=name, size_bytes=len(content)) for name, content in files.items()]
    yield admin_pb2.UploadAdapterRequest(metadata=admin_pb2.UploadMetadata(files=announced))
    for content in files.values():
        yield admin_pb2.UploadAdapterRequest(chunk=content)


@contextmanager
def operating(world: DurableWorld, data: str, admin: str) -> Iterator[Operator]:
    operator = Operator(world, data, admin)
    try:
        yield operator
    finally:
        operator.close()


def fill(operator: Operator) -> None:
    """What is there before each change: earlier revisions, options, pins, aliases, a content that nobody has."""
    operator.load("x", "one", weight=2.0, metadata={"team": "search"})
    operator.load("x", "two", weight=2.0, metadata={"team": "search"})
    operator.load("y", "one", pinned=True, labels=["no", "perhaps", "yes"])
    operator.load("w", "five")
    operator.alias("prod", x=3, y=1)
    operator.alias("old", **{f"x__{operator.adapters()[1].earlier_revisions[0][:8]}": 1})
    operator.upload("three")


Change = Callable[[Operator], object]

CHANGES: Mapping[str, Change] = {
    "upload": lambda operator: operator.upload("four"),
    "load": lambda operator: operator.load("z", "four"),
    "load of what is stored": lambda operator: operator.load("z", "three", by_revision=True),
    "swap": lambda operator: operator.load("x", "three", by_revision=True, weight=3.0),
    "change of options": lambda operator: operator.update(id="x", weight=5.0, metadata={"team": "ads"}),
    "move of an alias": lambda operator: operator.alias("prod", y=1),
    "deletion of an alias": lambda operator: operator.delete_alias("old"),
    "unload": lambda operator: operator.unload("w"),
    "delete": lambda operator: operator.delete("w"),
}
