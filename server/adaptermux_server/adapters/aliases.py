"""Aliases: names that requests may use in the place of an adapter's id, each for one adapter or for several by weight.

Owned by the event loop. No method awaits, so a request is resolved by the targets before a change or by those after it.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from adaptermux_server.adapters.ids import check_adapter_id, parse_reference
from adaptermux_server.errors import AliasNotFoundError, InvalidRequestError

MAX_TARGETS = 16
MAX_TARGET_WEIGHT = 1_000_000

_HASH_BITS = 53  # as many as a float holds exactly


@dataclass(frozen=True, slots=True)
class AliasTarget:
    """An adapter that an alias stands for, and its share relative to the other targets."""

    adapter: str
    """Its id, or `id@` and a revision or the first digits of one."""
    weight: int = 1

    @property
    def adapter_id(self) -> str:
        """The id alone."""
        return self.adapter.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Alias:
    """A name with its targets; an instance has passed every check that needs neither other aliases nor adapters.

    Raises InvalidRequestError, which names every field that is wrong as the API does.
    """

    name: str
    targets: tuple[AliasTarget, ...]
    update_time: float = 0.0
    """When it was set, in seconds since the epoch."""

    def __post_init__(self) -> None:
        check_adapter_id(self.name, "alias.name")
        violations = tuple(_violations(self.targets))
        if violations:
            raise InvalidRequestError(*violations)

    def with_whole_revisions(self, revisions: Sequence[str]) -> "Alias":
        """The alias with whole revisions where its targets name one; `revisions`: those that they stand for now."""
        targets = (
            replace(target, adapter=f"{target.adapter_id}@{revision}") if "@" in target.adapter else target
            for target, revision in zip(self.targets, revisions, strict=True)
        )
        return replace(self, targets=tuple(targets))


class AliasTable:
    """The aliases by name. No alias points at another, so one look resolves a name.

    What it can't know is the caller's to check: that targets serve, and that no adapter has an alias's name (before
    `set`, and with `in` before a load).
    """

    def __init__(self) -> None:
        self._aliases: dict[str, Alias] = {}
        self._names_by_target: defaultdict[str, set[str]] = defaultdict(set)
        self._coming: Alias | None = None

    def __contains__(self, name: str) -> bool:
        """Whether a name is that of an alias, or of one that is coming."""
        return name in self._aliases or (self._coming is not None and self._coming.name == name)

    @contextmanager
    def coming(self, alias: Alias) -> Iterator[None]:
        """Keep the name and the targets of an alias that will be set within the context; one at a time.

        No request goes by it yet. Raises InvalidRequestError where it would point at an alias.
        """
        self.check(alias)
        self._coming = alias
        try:
            yield
        finally:
            self._coming = None

    def set(self, alias: Alias) -> Alias | None:
        """Make an alias or move it; returns it as it was, None where it is new.

        Raises InvalidRequestError where an alias would point at an alias.
        """
        self.check(alias)
        previous = self._aliases.get(alias.name)
        if previous is not None:
            self._remove(previous)
        self._aliases[alias.name] = alias
        for target in alias.targets:
            self._names_by_target[target.adapter_id].add(alias.name)
        return previous

    def delete(self, name: str) -> Alias:
        """Remove an alias; returns it as it was. Raises AliasNotFoundError."""
        alias = self.get(name)
        self._remove(alias)
        return alias

    def get(self, name: str) -> Alias:
        """The alias of this name. Raises AliasNotFoundError."""
        alias = self._aliases.get(name)
        if alias is None:
            raise AliasNotFoundError(name)
        return alias

    def list(self) -> Sequence[Alias]:
        """All aliases, sorted by name."""
        return [alias for _, alias in sorted(self._aliases.items())]

    def pointing_at(self, adapter_id: str) -> Sequence[str]:
        """Names of the aliases that have this adapter among their targets, or are about to, sorted."""
        coming = self._coming
        more = {coming.name} if coming and any(it.adapter_id == adapter_id for it in coming.targets) else set()
        return sorted(self._names_by_target.get(adapter_id, set()) | more)

    def resolve(self, name: str, request_key: str | None, random: Callable[[], float]) -> str | None:
        """The target that a request by this name goes to; None: no such alias.

        Equal keys go to equal targets, whatever the alias, the process and the order of the targets. A target whose
        weight changes, or that comes or goes, gains or loses the keys that its new share asks for; no other key moves.

        Args:
            name: of the alias, or anything else.
            request_key: None or empty: the target is drawn at random.
            random: uniform in [0, 1).

        Source: Thaler and Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998 (rendezvous hashing), with
        weights: -ln(u) / w is an arrival at rate w, and whoever has rate w of a total W arrives first w times out of W.
        """
        alias = self._aliases.get(name)
        if alias is None:
            return None
        if len(alias.targets) == 1:
            return alias.targets[0].adapter

        def arrival(target: AliasTarget) -> float:
            uniform = _hashed(target.adapter, request_key) if request_key else 1.0 - random()
            return -math.log(uniform) / target.weight

        return min(alias.targets, key=arrival).adapter

    def check(self, alias: Alias) -> None:
        """Raise InvalidRequestError where an alias would point at an alias."""
        for index, target in enumerate(alias.targets):
            if target.adapter_id in self or target.adapter_id == alias.name:
                text = f"{target.adapter_id!r} is an alias: an alias points at adapters only"
                raise InvalidRequestError((f"alias.targets[{index}].adapter", text))
        if pointing := self.pointing_at(alias.name):
            text = (
                f"the alias {pointing[0]!r} points at an adapter of this name: choose another, or move that one first"
            )
            raise InvalidRequestError(("alias.name", text))

    def _remove(self, alias: Alias) -> None:
        del self._aliases[alias.name]
        for target in alias.targets:
            names = self._names_by_target[target.adapter_id]
            names.discard(alias.name)
            if not names:
                del self._names_by_target[target.adapter_id]


def _violations(targets: Sequence[AliasTarget]) -> Iterator[tuple[str, str]]:
    if not 1 <= len(targets) <= MAX_TARGETS:
        yield "alias.targets", f"are {len(targets)}, allowed are 1 to {MAX_TARGETS}"
        return
    if len({target.adapter for target in targets}) != len(targets):
        yield "alias.targets", "must be distinct"
    for index, target in enumerate(targets):
        parse_reference(target.adapter, f"alias.targets[{index}].adapter")
        if not 1 <= target.weight <= MAX_TARGET_WEIGHT:
            yield f"alias.targets[{index}].weight", f"must be 1 to {MAX_TARGET_WEIGHT}"


def _hashed(adapter: str, request_key: str) -> float:
    """A number in (0, 1] that is uniform over keys, and independent between adapters."""
    # No reference holds a NUL, so no two pairs are hashed alike.
    digest = hashlib.blake2b(f"{adapter}\0{request_key}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> (64 - _HASH_BITS)) + 1) / (1 << _HASH_BITS)
