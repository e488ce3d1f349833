"""The reference of error reasons, as the server sends them and as the Python client raises them.

Each error of the server is made once, turned into a status as for a caller, and read by the client: nothing about
codes, metadata and retries is written down twice. Meanings and advice are the comments of error_reason.proto.
"""

import enum
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from google.rpc import status_pb2

from adaptermux_client.errors import AdapterMuxClientError, from_status
from adaptermux_server.errors import AdapterMuxError
from adaptermux_server.transport.status import CODES, status_of

PROTO = Path(__file__).resolve().parent.parent / "proto" / "adaptermux" / "v1" / "error_reason.proto"
_UNSPECIFIED = "UNSPECIFIED"
_SAMPLES: Mapping[Any, Any] = {
    str: "x",
    int: 1,
    float: 1.0,
    Sequence[str]: ("x",),
    tuple[str, str]: ("field", "what is wrong"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """What a caller sees of a reason.

    Attributes:
        comment: what error_reason.proto says: the code, then when it comes, its metadata, and what to do.
        retry: which metadata comes with RetryInfo: nothing at all, "always", or for example "state LOADING".
    """

    name: str
    comment: str
    code: str
    metadata: tuple[str, ...]
    retry: str
    client: type[AdapterMuxClientError]

    @property
    def meaning(self) -> str:
        """The comment without the code, which stands first."""
        return self.comment.removeprefix(f"{self.code}. ")


def reasons() -> list[Reason]:
    """All reasons in the order of their numbers. Raises LookupError if the API has others than the server's errors."""
    sent = {error.reason: [from_status(status_of(each)) for each in _samples(error)] for error in CODES}
    sent["INTERNAL"] = [from_status(_incident())]
    told = {name: comment for name, comment in comments() if name != _UNSPECIFIED}
    if sent.keys() != told.keys():
        raise LookupError(
            f"of error_reason.proto or of the server alone: {', '.join(sorted(sent.keys() ^ told.keys()))}"
        )
    return [_reason(name, comment, sent[name]) for name, comment in told.items()]


def comments() -> Iterator[tuple[str, str]]:
    """Names of reasons without their prefix, and their comments in one line each."""
    pattern = re.compile(r"((?:^ *//.*\n)+)^ *ERROR_REASON_(\w+) = \d+;", re.MULTILINE)
    for comment, name in pattern.findall(PROTO.read_text("utf-8")):
        yield name, " ".join(comment.replace("//", " ").split())


def error_reference() -> str:
    """A table of all reasons, then what each one means."""
    found = reasons()
    rows = "".join(f"| {' | '.join(_cells(reason))} |\n" for reason in found)
    sections = "\n".join(f"### {reason.name}\n\n{reason.meaning}\n" for reason in found)
    head = "| reason | code | metadata | `RetryInfo` | Python class (and its base) |\n| --- | --- | --- | --- | --- |\n"
    return f"{head}{rows}\n{sections}"


def _reason(name: str, comment: str, sent: Sequence[AdapterMuxClientError]) -> Reason:
    first = sent[0]
    if any(each.reason != name or each.metadata.keys() != first.metadata.keys() for each in sent):
        raise LookupError(f"{name}: not one form of error")
    retried = [each for each in sent if each.retry_after_seconds is not None]
    return Reason(name, comment, first.code.name, tuple(first.metadata), _retry(sent, retried), type(first))


def _retry(sent: Sequence[AdapterMuxClientError], retried: Sequence[AdapterMuxClientError]) -> str:
    if len(retried) in (0, len(sent)):
        return "always" if retried else ""
    differing = [key for key in sent[0].metadata if len({each.metadata[key] for each in sent}) > 1]
    return ", ".join(f"`{key}` {each.metadata[key]}" for each in retried for key in differing)


def _samples(error: type[AdapterMuxError]) -> Iterator[AdapterMuxError]:
    """An error of a class with any arguments; one for each member of an enum, on which more may depend."""
    parameters = inspect.signature(error, eval_str=True).parameters.values()
    positional = [each for each in parameters if each.kind not in (each.KEYWORD_ONLY, each.VAR_KEYWORD)]
    for arguments in itertools.product(*(_values(each.annotation) for each in positional)):
        try:
            yield error(*arguments)
        except KeyError:  # a state that is no failure
            continue


def _values(kind: Any) -> Sequence[Any]:
    if isinstance(kind, enum.EnumMeta):
        return list(kind)
    return [_SAMPLES[kind]]


def _incident() -> status_pb2.Status:
    with structlog.testing.capture_logs():
        return status_of(RuntimeError())


def _cells(reason: Reason) -> list[str]:
    parent = reason.client.__mro__[1]
    shown = "" if parent is AdapterMuxClientError else f" (`{parent.__name__}`)"
    return [
        f"[{reason.name}](#{reason.name.lower()})",
        f"`{reason.code}`",
        ", ".join(f"`{key}`" for key in sorted(reason.metadata)),
        reason.retry,
        f"`{reason.client.__name__}`{shown}",
    ]
