"""A manifest: the adapters and aliases that a server shall have, as a YAML file says.

Whatever the file says that isn't understood is an error at its line: a key of a wrong name would otherwise be an option
that silently isn't applied. Texts are taken as they are written, so that a label `no` or a version `1.10` stays one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from adaptermux_client.cli.yaml_fields import Field, parse
from adaptermux_client.results import ProblemType


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine, which is sent."""

    path: Path


@dataclass(frozen=True, slots=True)
class ServerUri:
    """What the server reads by itself."""

    uri: str


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """A content that the server's store has."""

    revision: str


Source: TypeAlias = LocalFolder | ServerUri | StoredRevision


@dataclass(frozen=True, slots=True)
class AdapterEntry:
    """An adapter as it shall be. What an entry leaves out is the default.

    The API doesn't tell the server's own wait, nor what labels and problem type the files name. So a wait that is left
    out stays as it is, and labels and problem type are compared only where they are given.
    """

    id: str
    source: Source
    labels: tuple[str, ...] = ()
    problem_type: ProblemType = ProblemType.UNSPECIFIED
    weight: float = 1.0
    max_wait_seconds: float | None = None
    pinned: bool = False
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AliasEntry:
    """An alias as it shall be: its targets with their weights."""

    name: str
    targets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says; None: it doesn't speak of them, so nothing is done about them."""

    adapters: tuple[AdapterEntry, ...] | None
    aliases: tuple[AliasEntry, ...] | None


def read(path: Path) -> Manifest:
    """Read a manifest; folders in it are relative to its own. Raises OSError and ManifestError."""
    top = parse(path.read_bytes(), str(path)).fields("adapters", "aliases")
    adapters, aliases = top.get("adapters"), top.get("aliases")
    manifest = Manifest(
        None if adapters is None else tuple(_adapter(each, path.parent) for each in adapters.entries()),
        None if aliases is None else tuple(_alias(each) for each in aliases.entries()),
    )
    ids = {entry.id for entry in manifest.adapters or ()}
    for each in aliases.entries() if aliases else ():
        if each.name in ids:
            raise each.error("is the id of an adapter too")
    return manifest


def _adapter(entry: Field, root: Path) -> AdapterEntry:
    said = entry.fields(
        *("path", "uri", "revision"),
        *("labels", "problem_type", "weight", "max_wait_seconds", "pinned", "metadata"),
    )
    return AdapterEntry(
        id=entry.name,
        source=_source(entry, said, root),
        labels=said["labels"].texts() if "labels" in said else (),
        problem_type=said["problem_type"].member(ProblemType) if "problem_type" in said else ProblemType.UNSPECIFIED,
        weight=said["weight"].number() if "weight" in said else 1.0,
        max_wait_seconds=said["max_wait_seconds"].number() if "max_wait_seconds" in said else None,
        pinned=said["pinned"].truth() if "pinned" in said else False,
        metadata={each.name: each.text(may_be_empty=True) for each in said["metadata"].entries()}
        if "metadata" in said
        else None,
    )


def _metadata(field: Field) -> dict[str, str]:
    return {each.name: each.text(may_be_empty=True) for each in field.entries()}


def _source(entry: Field, said: Mapping[str, Field], root: Path) -> Source:
    match [key for key in ("path", "uri", "revision") if key in said]:
        case ["path"]:
            return LocalFolder(root / said["path"].text())
        case ["uri"]:
            return ServerUri(said["uri"].text())
        case ["revision"]:
            return StoredRevision(_revision(said["revision"]))
        case _:
            raise entry.error("needs one of path, uri and revision")


def _revision(field: Field) -> str:
    text = field.text()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise field.error("must be a whole revision: 64 hex digits")
    return text


def _alias(entry: Field) -> AliasEntry:
    if entry.is_text:
        return AliasEntry(entry.name, {entry.text(): 1})
    targets = {each.name: each.count() for each in entry.entries()}
    if not targets:
        raise entry.error("needs a target")
    return AliasEntry(entry.name, targets)
