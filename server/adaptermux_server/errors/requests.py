"""Failures of requests: malformed ones of any RPC, and those for inference."""

from collections.abc import Sequence

from adaptermux_server.errors.base import AdapterMuxError
from adaptermux_server.types import AdapterState, Task


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
    """The queue, or one adapter's share of it, has no room for the request's rows; or none for its texts."""

    reason = "QUEUE_FULL"

    def __init__(self, scope: str, limit: int, retry_seconds: float, *, unit: str = "rows") -> None:
        """`scope`: "server", or the adapter's id; `unit`: what is limited, rows or "characters" to tokenise."""
        whose = "the server's queue" if scope == "server" else f"the queue of adapter {scope!r}"
        super().__init__(
            f"{whose} is full (limit {limit} {unit}): retry after {retry_seconds:.1f} s, or send less at once",
            retry_seconds=retry_seconds,
            scope=scope,
            limit=limit,
        )


class DeadlineExceededError(AdapterMuxError):
    """The deadline passed in the queue, or can't be met."""

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, *, wait_seconds: float | None = None, retry_seconds: float | None = None) -> None:
        """`wait_seconds`: what the answer would take at least; `retry_seconds`: set where it is for others' sake."""
        what = "the deadline passed before the request could be computed"
        if wait_seconds is not None:
            what = f"the answer would take some {wait_seconds:.1f} s, longer than the deadline allows"
        advice = ""
        if retry_seconds is not None:
            advice = f": retry after {retry_seconds:.1f} s, allow more time, or send less at once"
        super().__init__(f"{what}; nothing was computed{advice}", retry_seconds=retry_seconds)


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
