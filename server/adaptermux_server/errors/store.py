"""Failures of the store, of what is on its way into it, and of what isn't in it."""

from adaptermux_server.errors.base import AdapterMuxError


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


class UploadStalledError(AdapterMuxError):
    """An upload stood still for too long, or came too slowly."""

    reason = "UPLOAD_STALLED"

    def __init__(self, problem: str) -> None:
        """`problem`: what was waited for, and for how long."""
        super().__init__(f"{problem}; nothing was kept: send the upload again")


class UploadsFullError(AdapterMuxError):
    """As many uploads as the server takes at once are under way."""

    reason = "UPLOADS_FULL"

    def __init__(self, limit: int, retry_seconds: float) -> None:
        """`limit`: in uploads."""
        super().__init__(
            f"{limit} uploads are under way and the server takes no more at once: retry after {retry_seconds:.1f} s",
            retry_seconds=retry_seconds,
            limit=limit,
        )
