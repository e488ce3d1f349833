"""Errors made from what a failed call tells: its status, and the reason in the details."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2
from grpc_status import rpc_status

from adaptermux_client.error_details import details_of
from adaptermux_client.errors.adapters import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasedError,
    AliasNotFoundError,
    BaseMismatchError,
    CheckpointMismatchError,
    ConcurrentChangeError,
    ConfigUnsupportedError,
    DrainTimeoutError,
    HeadIncompleteError,
    MemoryFullError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceUnavailableError,
)
from adaptermux_client.errors.base import AdapterMuxClientError
from adaptermux_client.errors.requests import (
    AdapterRequiredError,
    AdapterUnloadedError,
    InputTooLongError,
    InvalidRequestError,
    QueueFullError,
    ShuttingDownError,
    TaskMismatchError,
)
from adaptermux_client.errors.statuses import (
    AbortedError,
    CallCancelledError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from adaptermux_client.errors.store import (
    DigestMismatchError,
    RevisionNotFoundError,
    StoreFullError,
    StoreUnavailableError,
    UploadsFullError,
    UploadStalledError,
)

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
