"""How a call ended, as it is seen from around its handler."""

import asyncio
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from adaptermux_server.transport.border import CODE_OF_NUMBER, Context

_DETAILS_KEY = "grpc-status-details-bin"


def code_of(error: BaseException | None, context: Context) -> grpc.StatusCode:
    """The status code of a call whose handler returned (`error` None) or raised."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return grpc.StatusCode.CANCELLED
    code: Any = context.code()
    if error is None or isinstance(error, grpc.aio.AbortError):
        return CODE_OF_NUMBER.get(code, grpc.StatusCode.OK) if isinstance(code, int) else code or grpc.StatusCode.OK
    return grpc.StatusCode.UNKNOWN


def sent_info(context: Context) -> error_details_pb2.ErrorInfo:
    """What the status that was sent says of the error; empty for OK."""
    for key, value in context.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            return info_of(status_pb2.Status.FromString(value))
    return error_details_pb2.ErrorInfo()


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """What a status says of the error; empty where it says nothing."""
    info = error_details_pb2.ErrorInfo()
    if status.details:
        status.details[0].Unpack(info)
    return info
