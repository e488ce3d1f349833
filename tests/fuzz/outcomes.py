"""Which endings of a call are foreseen."""

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_BY_GRPC = {
    code.value[0]
    for code in (
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        # No such method, or a compression that nobody knows.
        grpc.StatusCode.UNIMPLEMENTED,
        # A message over the limit.
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
}
# What gRPC itself says, as its specification wants, to malformed frames; the handlers never see them.
_OF_FRAMING = ("Compression bit set but no encoding configured", "Failed parsing HTTP/2", "Illegal header")
_NUM_CODES = 17
_MAX_STATUS_BYTES = 4096
_LEAKS = ("Traceback", 'File "', "site-packages", "adaptermux_server", "Error(", " at 0x")


def assert_foreseen(code: int, message: str, details: bytes, sent: object) -> None:
    """Assert that a call ended well, or by the server's own refusal, or by one of gRPC's; `sent` is shown otherwise."""
    said = f"code {code}, {message!r}, {details!r}, sent {sent!r:.4000}"
    assert 0 <= code < _NUM_CODES, said
    if _is_of_the_wire(code, message, details):
        return
    assert code not in (grpc.StatusCode.UNKNOWN.value[0], grpc.StatusCode.INTERNAL.value[0]), said
    assert not any(leak in message for leak in _LEAKS), said
    assert len(details) <= _MAX_STATUS_BYTES, said
    assert code == 0 or code in _BY_GRPC or reason_of(details), said


def assert_error_foreseen(error: Any, sent: object) -> None:
    """As `assert_foreseen`, of what a stub raised."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    assert_foreseen(error.code().value[0], error.details() or "", details, sent)


def _is_of_the_wire(code: int, message: str, details: bytes) -> bool:
    if details:
        return False
    malformed = code == grpc.StatusCode.INTERNAL.value[0] and message.startswith(_OF_FRAMING)
    # The server's own UNAVAILABLE has a reason; this one is of a connection that was broken off.
    return malformed or code == grpc.StatusCode.UNAVAILABLE.value[0]


def reason_of(details: bytes) -> str:
    """The reason that a status names; empty: it names none."""
    info = error_details_pb2.ErrorInfo()
    try:
        status = status_pb2.Status.FromString(details)
    except DecodeError:
        return ""
    return info.reason if status.details and status.details[0].Unpack(info) else ""
