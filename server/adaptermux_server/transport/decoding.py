"""Messages that can't be decoded are refused at the border like any other bad request.

Left to itself, gRPC answers them UNKNOWN with the text of the decoder's exception.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

from adaptermux_server.errors import InvalidRequestError

if TYPE_CHECKING:  # generic in the stubs alone
    _Handler = grpc.RpcMethodHandler[Any, Any]

_Request = TypeVar("_Request")


class Undecodable:
    """Stands for a message of a call whose bytes are none."""

    request_id = ""
    """Of a streamed request: not known, so the response that refuses it has none."""


class Decoding(grpc.aio.ServerInterceptor):
    """Hands `Undecodable` to the handlers of one service where decoding fails; they pass it to `checked`."""

    def __init__(self, service_name: str) -> None:
        self._prefix = f"/{service_name}/"

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Wrap the handler's decoder."""
        handler: Any = await continuation(handler_call_details)
        if handler is not None and str(handler_call_details.method).startswith(self._prefix):
            handler = handler._replace(request_deserializer=_lenient(handler.request_deserializer))
        return cast("_Handler | None", handler)


def checked(request: _Request) -> _Request:
    """Return a message that could be decoded. Raises InvalidRequestError."""
    if isinstance(request, Undecodable):
        raise InvalidRequestError(("request", "isn't a message of this type: is the client's .proto the right one?"))
    return request


def _lenient(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode_or_mark(content: bytes) -> Any:
        try:
            return decode(content)
        except DecodeError:
            return Undecodable()

    return decode_or_mark
