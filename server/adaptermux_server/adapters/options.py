"""What a caller may choose when loading or changing an adapter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adaptermux_server.adapters.canonical import is_digest
from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.model_config import MAX_LABEL_CHARACTERS, MAX_LABELS
from adaptermux_server.adapters.served import ServingOptions
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import ProblemType

MAX_WEIGHT = 1000.0
MAX_WAIT_SECONDS = 3600.0
MAX_METADATA = 64
MAX_METADATA_CHARACTERS = 256

_METADATA_KEY = re.compile(r"[a-z0-9._/-]{1,63}")
_Violations = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """A load as asked for; an instance has passed every check that needs no files.

    Raises InvalidRequestError, which names every field that is wrong as the API does.
    """

    adapter_id: str
    uri: str = ""
    """Where the files are; empty: `revision` is given."""
    revision: str = ""
    """The digest of a content of the store; empty: `uri` is given."""
    labels: tuple[str, ...] = ()
    """In the order of the logits; empty: as the adapter's files name them."""
    problem_type: ProblemType | None = None
    """None: as the adapter's files say, else by the head."""
    weight: float = 1.0
    max_wait_seconds: float | None = None
    """None: the server's default."""
    pinned: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    validate_only: bool = False
    """Check everything and load nothing."""
    return_immediately: bool = False
    """Return once the load has begun."""
    came_from: str = ""
    """With `revision`: the `uri` by which the content came at first, to be shown again. (No caller sets it.)"""

    def __post_init__(self) -> None:
        check_adapter_id(self.adapter_id, "adapter_id")
        _raise(_source_violations(self), _serving_violations(self.serving, ""), _label_violations(self.labels))

    @property
    def shown_uri(self) -> str:
        """Where the adapter comes from, towards operators."""
        return self.uri or self.came_from

    @property
    def serving(self) -> ServingOptions:
        """Those that may change later."""
        return ServingOptions(self.weight, self.max_wait_seconds, self.pinned, self.metadata)


@dataclass(frozen=True, slots=True)
class OptionsChange:
    """New values for some fields of `ServingOptions`; an instance has passed every check.

    Raises InvalidRequestError, which names every field that is wrong as the API does.
    """

    values: Mapping[str, Any]
    """By name of the field."""

    def __post_init__(self) -> None:
        _raise(_serving_violations(self.applied_to(ServingOptions()), "adapter."))

    def applied_to(self, options: ServingOptions) -> ServingOptions:
        """The options after the change."""
        return replace(options, **self.values)


def _raise(*violations: _Violations) -> None:
    found = [violation for group in violations for violation in group]
    if found:
        raise InvalidRequestError(*found)


def _source_violations(options: LoadOptions) -> _Violations:
    if not options.uri and not options.revision:
        yield "uri", "must be given (an absolute path or a URI), or else `revision`"
    elif options.uri and options.revision:
        yield "revision", "can't be given beside `uri`: choose one"
    elif options.revision and not is_digest(options.revision):
        yield "revision", "isn't a whole revision: 64 lower-case hex digits"


def _serving_violations(options: ServingOptions, prefix: str) -> _Violations:
    # Written so that NaN is refused as well.
    if not 0 < options.weight <= MAX_WEIGHT:
        yield f"{prefix}weight", f"must be above 0 and at most {MAX_WEIGHT:g}"
    if options.max_wait_seconds is not None and not 0 < options.max_wait_seconds <= MAX_WAIT_SECONDS:
        yield f"{prefix}max_wait", f"must be above 0 and at most {MAX_WAIT_SECONDS:g} s"
    if len(options.metadata) > MAX_METADATA:
        yield f"{prefix}metadata", f"has {len(options.metadata)} entries, allowed are {MAX_METADATA}"
        return
    for key, value in options.metadata.items():
        if not _METADATA_KEY.fullmatch(key):
            yield f"{prefix}metadata", f"has the key {key[:64]!r}: allowed are 1 to 63 of a-z 0-9 . _ / -"
        elif len(value) > MAX_METADATA_CHARACTERS:
            yield f"{prefix}metadata[{key}]", f"has {len(value)} characters, allowed are {MAX_METADATA_CHARACTERS}"


def _label_violations(labels: Sequence[str]) -> _Violations:
    if len(labels) > MAX_LABELS:
        yield "labels", f"are {len(labels)}, allowed are {MAX_LABELS}"
    elif len(set(labels)) != len(labels):
        yield "labels", "must be distinct"
    for index, label in enumerate(labels[:MAX_LABELS]):
        if not 0 < len(label) <= MAX_LABEL_CHARACTERS:
            yield f"labels[{index}]", f"must have 1 to {MAX_LABEL_CHARACTERS} characters"
            return
