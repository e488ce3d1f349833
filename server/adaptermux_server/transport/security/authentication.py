"""Who calls, and whether they may call this service: asked of each call before its handler sees anything of it."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import grpc

from adaptermux_server.errors import PermissionDeniedError, UnauthenticatedError
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport.border import Context, abort, observe
from adaptermux_server.transport.security.callers import Caller, Role, current_caller
from adaptermux_server.transport.security.handlers import replaced, served_by, split_method
from adaptermux_server.transport.security.tokens import TokenFile
from adaptermux_server.transport.status import status_of

if TYPE_CHECKING:  # generic in the stubs alone
    _Handler = grpc.RpcMethodHandler[Any, Any]

_KEY = "authorization"
_SCHEME = "bearer "
_CODES = {
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
}


class Authentication(grpc.aio.ServerInterceptor):
    """Lets calls with a valid token through: to one service those of a role, to the others all.

    A token is looked at again with each message of a stream, so that one that was taken back ends its streams too.
    """

    def __init__(
        self, tokens: TokenFile, service_name: str, role: Role, metrics: RpcMetrics, open_services: Iterable[str]
    ) -> None:
        """`role`: what `service_name` needs; `open_services`: need no token."""
        self._tokens, self._service_name, self._role = tokens, service_name, role
        self._metrics, self._open_services = metrics, frozenset(open_services)

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Put the handler behind the check of the call's token."""
        handler: Any = await continuation(handler_call_details)
        service, rpc = split_method(handler_call_details.method)
        if handler is None or service in self._open_services:
            return cast("_Handler | None", handler)
        role = self._role if service == self._service_name else None
        metadata = handler_call_details.invocation_metadata

        def admit() -> None:
            current_caller.set(caller := self._tokens.caller(_token_of(metadata)))
            _check_role(caller, role)

        return cast("_Handler", self._behind(admit, handler, rpc))

    def _behind(self, admit: Callable[[], None], handler: Any, rpc: str) -> Any:
        inner = served_by(handler)

        async def check(context: Context) -> None:
            started = time.perf_counter()
            try:
                admit()
            except (PermissionDeniedError, UnauthenticatedError) as error:
                observe(self._metrics, rpc, _CODES[type(error)], started)
                await abort(context, status_of(error))

        async def answer(request: Any, context: Context) -> Any:
            await check(context)
            return await inner(_admitted(request, admit) if handler.request_streaming else request, context)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            await check(context)
            async with aclosing(inner(request, context)) as responses:
                async for response in responses:
                    await check(context)
                    yield response

        return replaced(handler, stream if handler.response_streaming else answer)


async def _admitted(requests: AsyncIterable[Any], admit: Callable[[], None]) -> AsyncIterator[Any]:
    """The requests; what `admit` raises goes to the handler, which ends the call as for any request that is wrong."""
    async for request in requests:
        admit()
        yield request


def _token_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    values = [str(value) for key, value in metadata or () if key == _KEY]
    if len(values) != 1:
        raise UnauthenticatedError("there are several tokens" if values else "there is no token")
    if values[0][: len(_SCHEME)].lower() != _SCHEME:
        raise UnauthenticatedError("the authorization isn't a bearer token")
    return values[0][len(_SCHEME) :].strip()


def _check_role(caller: Caller, needed: Role | None) -> None:
    if needed is not None and not caller.role.covers(needed):
        raise PermissionDeniedError(caller.name, needed)
