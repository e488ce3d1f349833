"""Every failure of a call as one tree: a class for each status that callers branch on, one beneath it for each reason.

AdapterMuxClientError
├── InvalidArgumentError           correct the request
│   ├── InvalidRequestError          `violations` names the fields
│   ├── InputTooLongError            shorten the input or set `truncate`
│   ├── SourceInvalidError           an adapter's files can't be read
│   └── ConfigUnsupportedError       an adapter's configuration isn't supported exactly
├── NotFoundError
│   ├── AdapterNotFoundError         metadata "similar" has ids of near spelling
│   ├── AliasNotFoundError           no alias has this name
│   └── RevisionNotFoundError        the server's store has no such content
├── UnauthenticatedError           the server wants a token, or another one
├── PermissionDeniedError          the token doesn't allow this call or adapter
│   └── SourceForbiddenError         an adapter's source isn't one that the operator allowed
├── FailedPreconditionError
│   ├── AdapterNotReadyError         LOADING: retry after `retry_after_seconds`
│   ├── AdapterRequiredError         the RPC needs an adapter
│   ├── TaskMismatchError            metadata "rpc" names the RPC that fits
│   ├── BaseMismatchError            the adapter was trained on another base
│   ├── CheckpointMismatchError      the weights don't fit their own configuration
│   ├── HeadIncompleteError          part of the head isn't in the checkpoint
│   ├── AliasedError                 an alias points at the adapter
│   └── StoreUnavailableError        the server's store can't be written
├── ResourceExhaustedError
│   ├── QueueFullError               back off for `retry_after_seconds`
│   ├── UploadsFullError             the server takes no more uploads at once: retry after `retry_after_seconds`
│   ├── MemoryFullError              the adapter doesn't fit the engine beside those pinned or in use
│   └── StoreFullError               the disk of the server's store is full
├── DeadlineExceededError          the call's timeout passed, in the server's queue or on the way
│   └── DrainTimeoutError            an unload's drain didn't end in time
├── AbortedError
│   ├── AdapterUnloadedError         the adapter was unloaded with force while the request waited
│   ├── ConcurrentChangeError        another load or unload of the same id is under way
│   └── UploadStalledError           no message of the upload came for too long
├── DataLossError
│   └── DigestMismatchError          an upload's bytes aren't those that were announced
├── UnavailableError               no connection, or the server went away
│   ├── SourceUnavailableError       an adapter's source can't be reached now
│   └── ShuttingDownError            the server said that it is stopping
├── CallCancelledError             cancelled by the other side; asyncio's own cancellation stays `CancelledError`
└── InternalError                  a bug of the server; metadata "incident" is in its log

The base class itself stands for any other status, for example UNIMPLEMENTED.
"""

from collections.abc import Mapping
from types import MappingProxyType

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from adaptermux_client.error_details import details_of


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


class InvalidArgumentError(AdapterMuxClientError):
    """INVALID_ARGUMENT: the same request fails again; correct it."""


class InvalidRequestError(InvalidArgumentError):
    """A field of the request is missing, malformed or out of range; `violations` names it."""


class InputTooLongError(InvalidArgumentError):
    """An input has more tokens than the model takes; metadata "tokens", "max_tokens"."""


class SourceInvalidError(InvalidArgumentError):
    """An adapter's source can't be read; metadata "file"."""


class ConfigUnsupportedError(InvalidArgumentError):
    """An adapter's configuration isn't supported exactly; metadata "field"."""


class NotFoundError(AdapterMuxClientError):
    """NOT_FOUND."""


class AdapterNotFoundError(NotFoundError):
    """No adapter of this name is loaded; metadata "adapter", "similar" (comma-separated, may be empty)."""


class AliasNotFoundError(NotFoundError):
    """No alias has this name; metadata "alias"."""


class RevisionNotFoundError(NotFoundError):
    """No content of this digest is in the server's store; metadata "digest"."""


class UnauthenticatedError(AdapterMuxClientError):
    """UNAUTHENTICATED: there is no token, or it isn't known, has expired or was taken back."""


class PermissionDeniedError(AdapterMuxClientError):
    """PERMISSION_DENIED: the token doesn't allow this; metadata "role", "adapter" (empty where the role is missing)."""


class SourceForbiddenError(PermissionDeniedError):
    """An adapter's source isn't one that the operator allowed."""


class FailedPreconditionError(AdapterMuxClientError):
    """FAILED_PRECONDITION: something else must change before the request can work."""


class AdapterNotReadyError(FailedPreconditionError):
    """The adapter doesn't serve now; metadata "adapter", "state"."""


class AdapterRequiredError(FailedPreconditionError):
    """The RPC needs an adapter and the request names none; metadata "rpc"."""


class TaskMismatchError(FailedPreconditionError):
    """The adapter's head belongs to another RPC; metadata "adapter", "task", "rpc" (the one to call)."""


class BaseMismatchError(FailedPreconditionError):
    """The adapter was trained on another base; metadata "tensor"."""


class CheckpointMismatchError(FailedPreconditionError):
    """An adapter's weights don't fit its own configuration, or aren't finite; metadata "tensor"."""


class HeadIncompleteError(FailedPreconditionError):
    """Part of the head isn't in the checkpoint; metadata "tensors"."""


class AliasedError(FailedPreconditionError):
    """An alias points at the adapter."""


class StoreUnavailableError(FailedPreconditionError):
    """The server's store can't be written until its operator mends it."""


class ResourceExhaustedError(AdapterMuxClientError):
    """RESOURCE_EXHAUSTED: also a message over a size limit."""


class QueueFullError(ResourceExhaustedError):
    """The server's queue, or this adapter's share of it, is full; metadata "limit", "scope"."""


class UploadsFullError(ResourceExhaustedError):
    """As many uploads as the server takes at once are under way; metadata "limit"."""


class MemoryFullError(ResourceExhaustedError):
    """The adapter doesn't fit the engine beside those pinned or in use; metadata "needed_bytes", "limit_bytes"."""


class StoreFullError(ResourceExhaustedError):
    """The disk of the server's store is full; nothing was changed."""


class DeadlineExceededError(AdapterMuxClientError):
    """DEADLINE_EXCEEDED: the timeout passed. With a `reason` it did so in the queue, and no forward was spent."""


class DrainTimeoutError(DeadlineExceededError):
    """Requests were still in flight at the end of the drain; metadata "adapter", "in_flight"."""


class AbortedError(AdapterMuxClientError):
    """ABORTED: something else won; look again, then decide."""


class AdapterUnloadedError(AbortedError):
    """The adapter was unloaded with force while the request waited; metadata "adapter"."""


class ConcurrentChangeError(AbortedError):
    """Another load or unload of the same id is under way; metadata "adapter"."""


class UploadStalledError(AbortedError):
    """No message of the upload came for too long; nothing was kept."""


class DataLossError(AdapterMuxClientError):
    """DATA_LOSS: what arrived isn't what was sent."""


class DigestMismatchError(DataLossError):
    """The content has another digest than was announced; metadata "expected", "found"."""


class UnavailableError(AdapterMuxClientError):
    """UNAVAILABLE: nobody answers at the address, or the connection was lost."""


class SourceUnavailableError(UnavailableError):
    """The source of an adapter can't be reached now: retry after `retry_seconds`."""


class ShuttingDownError(UnavailableError):
    """The server is stopping and takes no new requests."""


class CallCancelledError(AdapterMuxClientError):
    """CANCELLED by the other side."""


class InternalError(AdapterMuxClientError):
    """INTERNAL: a bug or a fault of the machine; metadata "incident" if the server itself noticed."""


BY_REASON: dict[str, type[AdapterMuxClientError]] = {
    "INVALID_REQUEST": InvalidRequestError,
    "INPUT_TOO_LONG": InputTooLongError,
    "ADAPTER_NOT_FOUND": AdapterNotFoundError,
    "ADAPTER_NOT_READY": AdapterNotReadyError,
    "ADAPTER_REQUIRED": AdapterRequiredError,
    "TASK_MISMATCH": TaskMismatchError,
    "QUEUE_FULL": QueueFullError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "ADAPTER_UNLOADED": AdapterUnloadedError,
    "SHUTTING_DOWN": ShuttingDownError,
    "INTERNAL": InternalError,
    "SOURCE_INVALID": SourceInvalidError,
    "SOURCE_FORBIDDEN": SourceForbiddenError,
    "CONFIG_UNSUPPORTED": ConfigUnsupportedError,
    "BASE_MISMATCH": BaseMismatchError,
    "CHECKPOINT_MISMATCH": CheckpointMismatchError,
    "HEAD_INCOMPLETE": HeadIncompleteError,
    "CONCURRENT_CHANGE": ConcurrentChangeError,
    "DRAIN_TIMEOUT": DrainTimeoutError,
    "REVISION_NOT_FOUND": RevisionNotFoundError,
    "DIGEST_MISMATCH": DigestMismatchError,
    "STORE_FULL": StoreFullError,
    "STORE_UNAVAILABLE": StoreUnavailableError,
    "SOURCE_UNAVAILABLE": SourceUnavailableError,
    "ALIAS_NOT_FOUND": AliasNotFoundError,
    "ALIASED": AliasedError,
    "UPLOAD_STALLED": UploadStalledError,
    "UPLOADS_FULL": UploadsFullError,
    "MEMORY_FULL": MemoryFullError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "PERMISSION_DENIED": PermissionDeniedError,
}

BY_CODE: dict[grpc.StatusCode, type[AdapterMuxClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAUTHENTICATED: UnauthenticatedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPreconditionError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.ABORTED: AbortedError,
    grpc.StatusCode.DATA_LOSS: DataLossError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.CANCELLED: CallCancelledError,
    grpc.StatusCode.INTERNAL: InternalError,
}

_CODE_OF_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def from_rpc_error(error: grpc.RpcError) -> AdapterMuxClientError:
    """The error of a failed call, of `grpc` as of `grpc.aio`; its details are read where there are any."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # details that contradict the status, or aren't what their key says
        status = None
    if status is None:
        status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    return from_status(status)


def from_status(status: status_pb2.Status) -> AdapterMuxClientError:
    """The error that a `google.rpc.Status` describes; also of one that arrived inside a stream's response."""
    code = _CODE_OF_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    details = details_of(status)
    cls = BY_REASON.get(details.reason) or BY_CODE.get(code, AdapterMuxClientError)
    return cls(
        status.message or code.name,
        code,
        details.reason,
        details.metadata,
        details.violations,
        details.retry_after_seconds,
    )
