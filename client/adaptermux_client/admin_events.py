"""What a watch tells, one class for each kind of event."""

from dataclasses import dataclass
from typing import TypeAlias

from adaptermux_client.admin_results import AdapterInfo, AliasInfo


@dataclass(frozen=True, slots=True)
class SnapshotBegan:
    """What was known is void; all adapters and aliases that there are follow, each as if it had changed."""

    resume_token: str = ""
    """Of every event: `watch_adapters(resume_token)` goes on after it. Empty within a snapshot."""


@dataclass(frozen=True, slots=True)
class SnapshotEnded:
    """That was all; changes follow."""

    resume_token: str = ""


@dataclass(frozen=True, slots=True)
class AdapterChanged:
    """An adapter came or changed: its state, revision, options, tier or error. Counters and times of use don't tell."""

    adapter: AdapterInfo
    resume_token: str = ""


@dataclass(frozen=True, slots=True)
class AdapterRemoved:
    """An adapter is gone."""

    adapter_id: str
    resume_token: str = ""


@dataclass(frozen=True, slots=True)
class AliasChanged:
    """An alias came or changed."""

    alias: AliasInfo
    resume_token: str = ""


@dataclass(frozen=True, slots=True)
class AliasRemoved:
    """An alias is gone."""

    name: str
    resume_token: str = ""


WatchEvent: TypeAlias = SnapshotBegan | SnapshotEnded | AdapterChanged | AdapterRemoved | AliasChanged | AliasRemoved
"""All there are, so that `match` can be exhaustive."""
