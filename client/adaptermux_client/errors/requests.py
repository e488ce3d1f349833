"""Failures of requests, by reason."""

from adaptermux_client.errors.statuses import (
    AbortedError,
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)


class InvalidRequestError(InvalidArgumentError):
    """A field of the request is missing, malformed or out of range; `violations` names it."""


class InputTooLongError(InvalidArgumentError):
    """An input has more tokens than the model takes; metadata "tokens", "max_tokens"."""


class AdapterRequiredError(FailedPreconditionError):
    """The RPC needs an adapter and the request names none; metadata "rpc"."""


class TaskMismatchError(FailedPreconditionError):
    """The adapter's head belongs to another RPC; metadata "adapter", "task", "rpc" (the one to call)."""


class QueueFullError(ResourceExhaustedError):
    """The server's queue, or this adapter's share of it, is full; metadata "limit", "scope"."""


class AdapterUnloadedError(AbortedError):
    """The adapter was unloaded with force while the request waited; metadata "adapter"."""


class ShuttingDownError(UnavailableError):
    """The server is stopping and takes no new requests."""
