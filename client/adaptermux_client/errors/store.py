"""Failures of uploads and of the server's store, by reason."""

from adaptermux_client.errors.statuses import (
    AbortedError,
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
)


class RevisionNotFoundError(NotFoundError):
    """No content of this digest is in the server's store; metadata "digest"."""


class StoreUnavailableError(FailedPreconditionError):
    """The server's store can't be written until its operator mends it."""


class UploadsFullError(ResourceExhaustedError):
    """As many uploads as the server takes at once are under way; metadata "limit"."""


class StoreFullError(ResourceExhaustedError):
    """The disk of the server's store is full; nothing was changed."""


class UploadStalledError(AbortedError):
    """No message of the upload came for too long; nothing was kept."""


class DigestMismatchError(DataLossError):
    """The content has another digest than was announced; metadata "expected", "found"."""
