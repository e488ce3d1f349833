"""What all failures of calls have in common."""

from collections.abc import Mapping
from types import MappingProxyType

import grpc


class AdapterMuxClientError(Exception):
    """Base of all failures of calls.

    Attributes:
        message: the server's sentence for people; it may be reworded, so branch on the class or on `reason`.
        code: the gRPC status code.
        reason: a name of `ErrorReason` without its prefix, for example "ADAPTER_NOT_FOUND"; empty where the failure
            didn't come from AdapterMux itself (no connection, a timeout on the way).
        metadata: facts of the failure, by the keys that `error_reason.proto` lists for the reason.
        violations: (field, what is wrong with it) for each offending field of the request.
        retry_after_seconds: when a retry makes sense; None: not by itself.
    """

    def __init__(  # noqa: PLR0917  # positional, so that pickling works
        self,
        message: str,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        violations: tuple[tuple[str, str], ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        # Exception pickles by its arguments (multiprocessing, task queues).
        super().__init__(message, code, reason, dict(metadata), violations, retry_after_seconds)
        self.message = message
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata)
        self.violations = violations
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return self.message
