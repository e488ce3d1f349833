"""What all failures that a caller may see have in common."""

from typing import ClassVar


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
