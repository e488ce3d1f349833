"""What should be there after loads, unloads, deletions and aliases: a few dictionaries."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from adaptermux_server.errors import (
    AdapterMuxError,
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasedError,
    DrainTimeoutError,
    InvalidRequestError,
)

Refusal = type[AdapterMuxError] | None
"""What a change is refused with; None: it is made."""


@dataclass
class Expected:
    """An adapter as it should be."""

    digest: str
    weight: float
    earlier: list[str] = field(default_factory=list)
    draining: bool = False

    @property
    def digests(self) -> list[str]:
        return [self.digest, *self.earlier]


@dataclass
class LifecycleModel:
    """All adapters, aliases and contents as they should be."""

    adapters: dict[str, Expected] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    pinned: str | None = None
    aliases: dict[str, dict[str, int]] = field(default_factory=dict)
    contents: set[str] = field(default_factory=set)
    num_requests: dict[str, int] = field(default_factory=dict)
    """In flight, by adapter."""

    def refusal_of_load(self, adapter_id: str) -> Refusal:
        return InvalidRequestError if adapter_id in self.aliases else None

    def refusal_of_update(self, adapter_id: str) -> Refusal:
        now = self.adapters.get(adapter_id)
        if now is None:
            return AdapterNotReadyError if adapter_id in self.failed else AdapterNotFoundError
        return AdapterNotReadyError if now.draining else None

    def refusal_of_unload(self, adapter_id: str, delete: bool) -> Refusal:
        if adapter_id not in self.adapters and adapter_id not in self.failed:
            return AdapterNotFoundError
        if delete and adapter_id in self._pointed_at():
            return AliasedError
        return DrainTimeoutError if self.num_requests.get(adapter_id) else None

    def refusal_of_alias(self, name: str, targets: Iterable[str]) -> Refusal:
        ids = [target.partition("@")[0] for target in targets]
        if name in self.adapters or name in self.failed:
            return InvalidRequestError
        if name in ids or name in self._pointed_at() or any(id_ in self.aliases for id_ in ids):
            return InvalidRequestError
        return next((refusal for id_ in ids if (refusal := self.refusal_of_update(id_))), None)

    def load(self, adapter_id: str, digest: str, weight: float) -> None:
        before = self.adapters.get(adapter_id)
        earlier = before.earlier if before else []
        if before and before.digest != digest:
            earlier = [before.digest, *(found for found in earlier if found != digest)]
            aliased = {target for targets in self.aliases.values() for target in targets}
            earlier = earlier[:10] + [found for found in earlier[10:] if f"{adapter_id}@{found}" in aliased]
        self.adapters[adapter_id] = Expected(digest, weight, earlier)
        self.failed.discard(adapter_id)
        self.contents.add(digest)
        if self.pinned == adapter_id:
            self.pinned = None

    def fail(self, adapter_id: str) -> None:
        if adapter_id not in self.adapters:
            self.failed.add(adapter_id)

    def unload(self, adapter_id: str, delete: bool) -> None:
        self.failed.discard(adapter_id)
        gone = self.adapters.pop(adapter_id, None)
        if gone and delete:
            self.contents -= {*gone.digests} - {digest for it in self.adapters.values() for digest in it.digests}
        if self.pinned == adapter_id:
            self.pinned = None

    def restart(self) -> None:
        self.failed.clear()
        for expected in self.adapters.values():
            expected.draining = False

    def _pointed_at(self) -> set[str]:
        return {target.partition("@")[0] for found in self.aliases.values() for target in found}
