"""Handlers of gRPC, whichever of the four kinds, as what an interceptor wraps."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import grpc

if TYPE_CHECKING:  # generic in the stubs alone
    _Handler = grpc.RpcMethodHandler[Any, Any]


class ServiceInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Wraps the handlers of one service; what belongs to others passes."""

    def __init__(self, service_name: str) -> None:
        self._service_name = service_name

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Wrap the handler of a call."""
        handler: Any = await continuation(handler_call_details)
        service, rpc = split_method(handler_call_details.method)
        if handler is not None and service == self._service_name:
            handler = self._wrapped(handler, rpc)
        return cast("_Handler | None", handler)

    @abstractmethod
    def _wrapped(self, handler: Any, rpc: str) -> Any:
        """The handler of an RPC, with what this interceptor adds."""


def split_method(method: Any) -> tuple[str, str]:
    """Service and RPC of a method's full name."""
    service, _, rpc = str(method).removeprefix("/").partition("/")
    return service, rpc


def served_by(handler: Any) -> Callable[..., Any]:
    """The function of a handler: of a request, or an iterator of them, and the context."""
    return getattr(handler, _field(handler))  # type: ignore[no-any-return]


def replaced(handler: Any, function: Callable[..., Any]) -> Any:
    """The handler with another function of its kind."""
    return handler._replace(**{_field(handler): function})


def _field(handler: Any) -> str:
    kinds = {False: "unary", True: "stream"}
    return f"{kinds[handler.request_streaming]}_{kinds[handler.response_streaming]}"
