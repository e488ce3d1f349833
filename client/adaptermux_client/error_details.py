"""What a `google.rpc.Status` says besides its code and message."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "adaptermux"
"""The `ErrorInfo.domain` of reasons that are ours; others (a proxy's, say) don't choose a class."""


@dataclass(frozen=True, slots=True)
class Details:
    """As the attributes of `AdapterMuxClientError` of the same names."""

    reason: str
    metadata: Mapping[str, str]
    violations: tuple[tuple[str, str], ...]
    retry_after_seconds: float | None


def details_of(status: status_pb2.Status) -> Details:
    """The details that are known here; others are passed over."""
    info, request, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    _unpack_into(info, status.details)
    _unpack_into(request, status.details)
    may_retry = _unpack_into(retry, status.details)
    return Details(
        reason=info.reason if info.domain == DOMAIN else "",
        metadata=dict(info.metadata),
        violations=tuple((violation.field, violation.description) for violation in request.field_violations),
        retry_after_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if may_retry else None,
    )


def _unpack_into(message: Message, details: Iterable[AnyMessage]) -> bool:
    """Fill `message` from the detail of its type, if there is one."""
    return any(detail.Unpack(message) for detail in details)
