"""Failures about adapters and aliases, by reason."""

from adaptermux_client.errors.statuses import (
    AbortedError,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
)


class SourceInvalidError(InvalidArgumentError):
    """An adapter's source can't be read; metadata "file"."""


class ConfigUnsupportedError(InvalidArgumentError):
    """An adapter's configuration isn't supported exactly; metadata "field"."""


class AdapterNotFoundError(NotFoundError):
    """No adapter of this name is loaded; metadata "adapter", "similar" (comma-separated, may be empty)."""


class AliasNotFoundError(NotFoundError):
    """No alias has this name; metadata "alias"."""


class SourceForbiddenError(PermissionDeniedError):
    """An adapter's source isn't one that the operator allowed."""


class AdapterNotReadyError(FailedPreconditionError):
    """The adapter doesn't serve now; metadata "adapter", "state"."""


class BaseMismatchError(FailedPreconditionError):
    """The adapter was trained on another base; metadata "tensor"."""


class CheckpointMismatchError(FailedPreconditionError):
    """An adapter's weights don't fit its own configuration, or aren't finite; metadata "tensor"."""


class HeadIncompleteError(FailedPreconditionError):
    """Part of the head isn't in the checkpoint; metadata "tensors"."""


class AliasedError(FailedPreconditionError):
    """An alias points at the adapter."""


class MemoryFullError(ResourceExhaustedError):
    """The adapter doesn't fit the engine beside those pinned or in use; metadata "needed_bytes", "limit_bytes"."""


class DrainTimeoutError(DeadlineExceededError):
    """Requests were still in flight at the end of the drain; metadata "adapter", "in_flight"."""


class ConcurrentChangeError(AbortedError):
    """Another load or unload of the same id is under way; metadata "adapter"."""


class SourceUnavailableError(UnavailableError):
    """The source of an adapter can't be reached now: retry after `retry_seconds`."""
