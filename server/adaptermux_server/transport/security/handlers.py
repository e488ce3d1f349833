"""Handlers of gRPC, whichever of the four kinds, as what an interceptor wraps."""

from collections.abc import Callable
from typing import Any


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
