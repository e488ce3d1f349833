"""Errors to gRPC statuses: one table by class. What has no row is INTERNAL with an incident id and no text."""

import secrets

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from adaptermux_server import errors

DOMAIN = "adaptermux"

CODES: dict[type[errors.AdapterMuxError], grpc.StatusCode] = {
    errors.InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputTooLongError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.AdapterNotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AdapterNotReadyError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AdapterRequiredError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.TaskMismatchError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.AdapterUnloadedError: grpc.StatusCode.ABORTED,
    errors.ShuttingDownError: grpc.StatusCode.UNAVAILABLE,
    errors.SourceInvalidError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SourceForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    errors.SourceUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.ConfigUnsupportedError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.BaseMismatchError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CheckpointMismatchError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.HeadIncompleteError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ConcurrentChangeError: grpc.StatusCode.ABORTED,
    errors.DrainTimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.RevisionNotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.DigestMismatchError: grpc.StatusCode.DATA_LOSS,
    errors.StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StoreUnavailableError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.AliasNotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AliasedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UploadStalledError: grpc.StatusCode.ABORTED,
    errors.UploadsFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.MemoryFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
}

# All details of a status travel in one trailer; clients on older gRPC cores fail the call from about 8 KB on.
_MAX_DETAIL_BYTES = 4096
_MAX_TEXT_CHARACTERS = 1000
_MAX_VALUE_CHARACTERS = 256
_MAX_VIOLATIONS = 8
_INCIDENT_ATTRIBUTE = "adaptermux_incident"

_log = structlog.get_logger(__name__)


def status_of(error: BaseException) -> status_pb2.Status:
    """The status of any failure, with its details; an unexpected one is logged under the incident id that it names."""
    code = _code_of(error)
    if code is None or not isinstance(error, errors.AdapterMuxError):
        return _incident(error)
    details = [_error_info(error.reason, error.metadata)]
    if isinstance(error, errors.InvalidRequestError):
        details.append(_bad_request(error))
    if error.retry_seconds is not None:
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_seconds))))
    return _bounded(
        status_pb2.Status(code=code.value[0], message=_cut(str(error), _MAX_TEXT_CHARACTERS), details=details)
    )


def _code_of(error: BaseException) -> grpc.StatusCode | None:
    return next((CODES[cls] for cls in type(error).__mro__ if cls in CODES), None)


def _incident(error: BaseException) -> status_pb2.Status:
    # A failure that is kept and shown again, such as that of a load, stays the same incident and is logged once.
    incident = getattr(error, _INCIDENT_ATTRIBUTE, None)
    if incident is None:
        incident = secrets.token_hex(6)
        setattr(error, _INCIDENT_ATTRIBUTE, incident)
        _log.error("unexpected failure", incident=incident, exc_info=error)
    message = f"internal error; the server's log has the cause under incident {incident}"
    info = _error_info("INTERNAL", {"incident": incident})
    return status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message=message, details=[info])


def _error_info(reason: str, metadata: dict[str, str]) -> any_pb2.Any:
    short = {key: _cut(value, _MAX_VALUE_CHARACTERS) for key, value in metadata.items()}
    return _packed(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=short))


def _bad_request(error: errors.InvalidRequestError) -> any_pb2.Any:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(
            field=_cut(field, _MAX_VALUE_CHARACTERS), description=_cut(text, _MAX_VALUE_CHARACTERS)
        )
        for field, text in error.violations[:_MAX_VIOLATIONS]
    ]
    return _packed(error_details_pb2.BadRequest(field_violations=violations))


def _bounded(status: status_pb2.Status) -> status_pb2.Status:
    while status.ByteSize() > _MAX_DETAIL_BYTES and len(status.details) > 1:
        status.details.pop(1)  # the ErrorInfo, which stands first, stays
    return status


def _packed(
    message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _duration(seconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
