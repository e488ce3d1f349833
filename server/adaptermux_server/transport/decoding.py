"""Messages that can't be decoded are refused at the border like any other bad request.

Left to itself, gRPC answers them UNKNOWN with the text of the decoder's exception.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.transport.security.handlers import ServiceInterceptor

_Request = TypeVar("_Request")


class Undecodable:
    """Stands for a message of a call whose bytes are none."""

    request_id = ""
    """Of a streamed request: not known, so the response that refuses it has none."""


class Decoding(ServiceInterceptor):
    """Hands `Undecodable` to the handlers of one service where decoding fails; they pass it to `checked`."""

    def _wrapped(self, handler: Any, rpc: str) -> Any:
        return handler._replace(request_deserializer=_lenient(handler.request_deserializer))


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
