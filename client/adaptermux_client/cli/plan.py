"""What a manifest asks to be done to a server: pure, from what shall be and what is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adaptermux_client.admin_results import AdapterInfo, AdapterState, AliasInfo
from adaptermux_client.cli.adapter_views import pairs, words
from adaptermux_client.cli.manifest import AdapterEntry, AliasEntry, Manifest
from adaptermux_client.results import ProblemType

_SHORT = 8  # digits of a revision


class Action(StrEnum):
    """What a step does."""

    CREATE = "create"
    NEW_REVISION = "new revision"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    DELETE = "delete"
    UNKNOWN = "can't be planned"


class Kind(StrEnum):
    """What a step is about."""

    ADAPTER = "adapter"
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that isn't as it shall be."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what} {self.before or 'none'} → {self.after or 'none'}"


@dataclass(frozen=True, slots=True)
class Step:
    """One adapter or alias, with what shall be done to it."""

    kind: Kind
    name: str
    action: Action
    changes: tuple[Change, ...] = ()
    entry: AdapterEntry | AliasEntry | None = None
    """None: it isn't in the manifest."""
    revision: str = ""
    """Of an adapter that shall be."""
    known: AdapterInfo | None = None
    """The adapter as it is."""
    problem: str = ""
    """Why it can't be planned."""

    @property
    def what(self) -> str:
        """Why it can't be planned, else what changes, else what it shall be."""
        if self.problem or self.changes:
            return self.problem or "\n".join(map(str, self.changes))
        return _targets(self.entry.targets) if isinstance(self.entry, AliasEntry) else self.revision[:_SHORT]

    @property
    def does_something(self) -> bool:
        """Whether the server will be another afterwards."""
        return self.action not in (Action.UNCHANGED, Action.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An adapter of the manifest, with the revision of its content; or why that can't be known."""

    entry: AdapterEntry
    revision: str = ""
    problem: str = ""


def plan(
    manifest: Manifest,
    wanted: Iterable[Wanted],
    adapters: Mapping[str, AdapterInfo],
    aliases: Mapping[str, AliasInfo],
    *,
    prune: bool,
) -> list[Step]:
    """All steps, in the order in which they are done: adapters, aliases, then what goes (aliases first)."""
    steps = [adapter_step(each, adapters.get(each.entry.id)) for each in wanted]
    steps += [alias_step(entry, aliases.get(entry.name)) for entry in manifest.aliases or ()]
    if prune and manifest.aliases is not None:
        kept = {entry.name for entry in manifest.aliases}
        steps += [Step(Kind.ALIAS, name, Action.DELETE) for name in sorted(aliases.keys() - kept)]
    if prune and manifest.adapters is not None:
        ids = {entry.id for entry in manifest.adapters}
        steps += [Step(Kind.ADAPTER, name, Action.DELETE) for name in sorted(adapters.keys() - ids)]
    return steps


def adapter_step(wanted: Wanted, known: AdapterInfo | None) -> Step:
    """What makes an adapter what it shall be. One that isn't READY is made anew."""
    entry, revision = wanted.entry, wanted.revision
    if wanted.problem:
        return Step(Kind.ADAPTER, entry.id, Action.UNKNOWN, entry=entry, problem=wanted.problem)
    if known is None or known.state is not AdapterState.READY:
        return Step(Kind.ADAPTER, entry.id, Action.CREATE, entry=entry, revision=revision)
    changes = tuple(_option_changes(entry, known))
    action = Action.UPDATE if changes else Action.UNCHANGED
    if revision != known.revision:
        action = Action.NEW_REVISION
        changes = (Change("revision", known.revision[:_SHORT], revision[:_SHORT]), *changes)
    return Step(Kind.ADAPTER, entry.id, action, changes, entry, revision, known)


def alias_step(entry: AliasEntry, known: AliasInfo | None) -> Step:
    """What makes an alias what it shall be."""
    if known is None:
        return Step(Kind.ALIAS, entry.name, Action.CREATE, entry=entry)
    existing = {target.adapter: target.weight for target in known.targets}
    if _same_targets(entry.targets, existing):
        return Step(Kind.ALIAS, entry.name, Action.UNCHANGED, entry=entry)
    change = Change("targets", _targets(existing), _targets(entry.targets))
    return Step(Kind.ALIAS, entry.name, Action.UPDATE, (change,), entry)


def _option_changes(entry: AdapterEntry, known: AdapterInfo) -> Iterator[Change]:
    if entry.labels and entry.labels != known.labels:
        yield Change("labels", ", ".join(known.labels), ", ".join(entry.labels))
    if entry.problem_type not in (ProblemType.UNSPECIFIED, known.problem_type):
        yield Change("problem_type", words(known.problem_type), words(entry.problem_type))
    if entry.weight != known.weight:
        yield Change("weight", f"{known.weight:g}", f"{entry.weight:g}")
    if entry.max_wait_seconds is not None and not _same_wait(entry.max_wait_seconds, known.max_wait_seconds):
        before = "" if known.max_wait_seconds is None else f"{known.max_wait_seconds:g}"
        yield Change("max_wait_seconds", before, f"{entry.max_wait_seconds:g}")
    if entry.pinned != known.pinned:
        yield Change("pinned", str(known.pinned).lower(), str(entry.pinned).lower())
    if dict(entry.metadata or {}) != dict(known.metadata):
        yield Change("metadata", pairs(known.metadata), pairs(entry.metadata or {}))


def _same_wait(one: float, other: float | None) -> bool:
    return other is not None and round(one * 1e9) == round(other * 1e9)  # the API tells nanoseconds


def _same_targets(wanted: Mapping[str, int], existing: Mapping[str, int]) -> bool:
    """The server tells whole revisions, a manifest may give their beginnings."""
    if len(wanted) != len(existing):
        return False
    return all(
        any(weight == share and _is_meant(target, by) for target, share in existing.items())
        for by, weight in wanted.items()
    )


def _is_meant(target: str, by: str) -> bool:
    return target == by or ("@" in by and target.startswith(by))


def _targets(targets: Mapping[str, int]) -> str:
    if len(targets) == 1:
        return _short(*targets)
    return ", ".join(f"{_short(target)}={weight}" for target, weight in targets.items())


def _short(target: str) -> str:
    adapter_id, at, revision = target.partition("@")
    return f"{adapter_id}{at}{revision[:_SHORT]}"
