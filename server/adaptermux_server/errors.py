"""Every failure that a caller may see, as a class with its data; `transport.status` gives each its gRPC status.

AdapterMuxError
├── InvalidRequestError          ├── SourceInvalidError
├── InputTooLongError            ├── SourceForbiddenError
├── AdapterNotFoundError         ├── ConfigUnsupportedError
├── AdapterNotReadyError         ├── BaseMismatchError
├── AdapterRequiredError         ├── CheckpointMismatchError
├── TaskMismatchError            ├── HeadIncompleteError
├── QueueFullError               ├── ConcurrentChangeError
├── DeadlineExceededError        ├── DrainTimeoutError
├── AdapterUnloadedError         ├── RevisionNotFoundError
├── ShuttingDownError            ├── DigestMismatchError
├── StoreFullError               ├── StoreUnavailableError
└── AliasNotFoundError           └── AliasedError

The message of each is written for the caller: what was wrong, what is allowed, what to do. Anything that isn't an
AdapterMuxError is a bug: its text stays in the log.
"""

from collections.abc import Sequence
from typing import ClassVar

from adaptermux_server.types import AdapterState, Task


class AdapterMuxError(Exception):
    """Base of all expected failures.

    Attributes:
        reason: the name of an `ErrorReason` of the API, without its prefix.
        metadata: what a program may want to know, as `ErrorInfo.metadata`.
        retry_seconds: when a retry makes sense; None: not by itself.
    """

    reason: ClassVar[str]

    def __init__(self, message: str, *, retry_seconds: float | None = None, **metadata: object) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidRequestError(AdapterMuxError):
    """A field of the request is missing, malformed or out of range."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: tuple[str, str]) -> None:
        """`violations`: (field path, what is wrong and what is allowed)."""
        super().__init__("; ".join(f"{name}: {text}" for name, text in violations))
        self.violations = violations


class InputTooLongError(AdapterMuxError):
    """An input has more tokens than the model takes."""

    reason = "INPUT_TOO_LONG"

    def __init__(self, index: int, tokens: int, max_tokens: int) -> None:
        super().__init__(
            f"inputs[{index}] has {tokens} tokens and the model takes {max_tokens}: shorten it, or set `truncate`",
            tokens=tokens,
            max_tokens=max_tokens,
        )


class AdapterNotFoundError(AdapterMuxError):
    """No adapter of this name is loaded."""

    reason = "ADAPTER_NOT_FOUND"

    def __init__(self, adapter: str, similar: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(similar)}?" if similar else "; ListAdapters shows the loaded ones"
        super().__init__(f"no adapter {adapter!r} is loaded{hint}", adapter=adapter, similar=",".join(similar))


class AdapterNotReadyError(AdapterMuxError):
    """The adapter is known but doesn't serve now."""

    reason = "ADAPTER_NOT_READY"

    def __init__(self, adapter: str, state: AdapterState) -> None:
        super().__init__(
            f"adapter {adapter!r} is {state.value}: {_STATE_ADVICE[state]}",
            retry_seconds=0.5 if state is AdapterState.LOADING else None,
            adapter=adapter,
            state=state.value,
        )
        self.state = state


_STATE_ADVICE = {
    AdapterState.LOADING: "retry in a moment",
    AdapterState.DRAINING: "it is being unloaded and takes no new requests",
    AdapterState.FAILED: "its load failed; an operator must load it again (GetAdapter tells why)",
}


class AdapterRequiredError(AdapterMuxError):
    """The RPC needs an adapter's head and the request names no adapter."""

    reason = "ADAPTER_REQUIRED"

    def __init__(self, rpc: str) -> None:
        super().__init__(f"{rpc} needs `adapter`: the base model has no head; only Embed works without one", rpc=rpc)


class TaskMismatchError(AdapterMuxError):
    """The adapter's head belongs to another RPC."""

    reason = "TASK_MISMATCH"

    def __init__(self, adapter: str, task: Task, rpc: str) -> None:
        """`rpc`: the one that fits the adapter."""
        super().__init__(f"adapter {adapter!r} does {task.value}: call {rpc}", adapter=adapter, task=task.name, rpc=rpc)


class QueueFullError(AdapterMuxError):
    """The queue, or one adapter's share of it, has no room for the request's rows."""

    reason = "QUEUE_FULL"

    def __init__(self, scope: str, limit: int, retry_seconds: float) -> None:
        """`scope`: "server", or the adapter's id; `limit`: in rows."""
        whose = "the server's queue" if scope == "server" else f"the queue of adapter {scope!r}"
        super().__init__(
            f"{whose} is full (limit {limit} rows): retry after {retry_seconds:.1f} s, or send less at once",
            retry_seconds=retry_seconds,
            scope=scope,
            limit=limit,
        )


class DeadlineExceededError(AdapterMuxError):
    """The deadline passed in the queue, or can't be met."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the deadline passed before the request could be computed; nothing was computed")


class AdapterUnloadedError(AdapterMuxError):
    """The adapter was unloaded with force while the request waited."""

    reason = "ADAPTER_UNLOADED"

    def __init__(self, adapter: str) -> None:
        super().__init__(f"adapter {adapter!r} was unloaded with `force` while the request waited", adapter=adapter)


class ShuttingDownError(AdapterMuxError):
    """The server is stopping and takes no new requests."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is shutting down: retry at another replica or after the restart")


class SourceInvalidError(AdapterMuxError):
    """An adapter's source can't be read, or holds what must not be opened."""

    reason = "SOURCE_INVALID"

    def __init__(self, message: str, file: str = "") -> None:
        """`file`: the file's name within the source."""
        super().__init__(message, file=file)


class SourceForbiddenError(AdapterMuxError):
    """An adapter's source isn't one that the operator allowed."""

    reason = "SOURCE_FORBIDDEN"


class ConfigUnsupportedError(AdapterMuxError):
    """A field of an adapter's configuration isn't supported exactly."""

    reason = "CONFIG_UNSUPPORTED"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", field=field)


class _TensorError(AdapterMuxError):
    """A failure that one tensor shows."""

    def __init__(self, tensor: str, message: str) -> None:
        super().__init__(f"{tensor}: {message}", tensor=tensor)


class BaseMismatchError(_TensorError):
    """The adapter was trained on another base."""

    reason = "BASE_MISMATCH"


class CheckpointMismatchError(_TensorError):
    """An adapter's weights don't fit its own configuration, or aren't finite."""

    reason = "CHECKPOINT_MISMATCH"


class HeadIncompleteError(AdapterMuxError):
    """Part of an adapter's head isn't in its checkpoint."""

    reason = "HEAD_INCOMPLETE"

    def __init__(self, tensors: Sequence[str], modules: Sequence[str]) -> None:
        """`tensors`: what is missing; `modules`: what `modules_to_save` must name for it to be saved."""
        super().__init__(
            f"the checkpoint lacks {', '.join(tensors)}: PEFT saves them only if `modules_to_save` names"
            f" {', '.join(modules)}; train or save the adapter again with that",
            tensors=",".join(tensors),
        )


class ConcurrentChangeError(AdapterMuxError):
    """Another load or unload of the same id is under way."""

    reason = "CONCURRENT_CHANGE"

    def __init__(self, adapter: str) -> None:
        super().__init__(
            f"another load or unload of adapter {adapter!r} is under way: wait for it, then decide again",
            adapter=adapter,
        )


class DrainTimeoutError(AdapterMuxError):
    """Requests were still in flight at the end of the drain."""

    reason = "DRAIN_TIMEOUT"

    def __init__(self, adapter: str, in_flight: int) -> None:
        super().__init__(
            f"adapter {adapter!r} still has {in_flight} requests in flight: it stays DRAINING; call again, or use"
            " `force`",
            adapter=adapter,
            in_flight=in_flight,
        )


class RevisionNotFoundError(AdapterMuxError):
    """No content of this digest is in the store."""

    reason = "REVISION_NOT_FOUND"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"no content of digest {digest!r} is in the store: upload it, or load it from its `uri`", digest=digest
        )


class DigestMismatchError(AdapterMuxError):
    """The content that came isn't the one that was announced."""

    reason = "DIGEST_MISMATCH"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"the content has the digest {found}, announced was {expected}: it was changed or damaged on its way; send"
            " it again",
            expected=expected,
            found=found,
        )


class StoreFullError(AdapterMuxError):
    """The disk of the store has no room."""

    reason = "STORE_FULL"

    def __init__(self) -> None:
        super().__init__("the server's store is full: delete adapters, or give its disk room; nothing was changed")


class StoreUnavailableError(AdapterMuxError):
    """The store can't be written, and won't be until the operator mends it."""

    reason = "STORE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        """`problem`: in the words of the system."""
        super().__init__(f"the server's store can't be used ({problem}): an operator must mend it; nothing was changed")


class AliasNotFoundError(AdapterMuxError):
    """No alias has this name."""

    reason = "ALIAS_NOT_FOUND"

    def __init__(self, alias: str) -> None:
        super().__init__(f"there is no alias {alias!r}; ListAliases shows all", alias=alias)


class AliasedError(AdapterMuxError):
    """The adapter can't be deleted while aliases point at it."""

    reason = "ALIASED"

    def __init__(self, adapter: str, aliases: Sequence[str]) -> None:
        super().__init__(
            f"adapter {adapter!r} can't be deleted while aliases point at it; move or delete these first:"
            f" {', '.join(aliases)}",
            adapter=adapter,
            aliases=",".join(aliases),
        )
