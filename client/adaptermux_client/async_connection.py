"""What the asyncio clients share: a channel, and the way in which calls are made on it."""

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

import grpc

from adaptermux_client import health
from adaptermux_client.calls import Call, grpc_timeout, method_signature
from adaptermux_client.channel import channel_options
from adaptermux_client.errors import from_rpc_error
from adaptermux_client.results import HealthStatus
from adaptermux_client.security import TlsOptions, Token, authorized

P = ParamSpec("P")
Out = TypeVar("Out")
Stub = TypeVar("Stub")


class AsyncConnection(Generic[Stub]):
    """A channel to one listener, its stub, and the way in which calls are made on it."""

    def __init__(
        self,
        address: str,
        timeout: float | None,
        channel: grpc.aio.Channel | None,
        tls: TlsOptions | None,
        token: Token | None,
    ) -> None:
        if channel is not None and tls is not None:
            raise ValueError("tls: a channel of the caller's has its own")
        self._own_channel = channel is None
        self._channel = channel or _open(address, tls)
        self._timeout = timeout
        callable_channel = authorized(self._channel, token)
        self._health = health.HealthStub(callable_channel)
        self.stub: Stub = self._make_stub(callable_channel)
        """The generated stub, for whatever this client doesn't wrap."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Stub:
        raise NotImplementedError

    async def health(
        self,
        service: str = "",
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> HealthStatus:
        """Ask whether the server, or one of its services by full name, serves. Unknown service: NotFoundError."""
        return await self._perform(health.check(service, timeout=timeout), self._health)

    async def close(self) -> None:
        """Close the channel, unless the caller prepared it. Calls in flight are cancelled."""
        if self._own_channel:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _perform(self, call: Call[Out], stub: Any = None) -> Out:
        method = getattr(stub or self.stub, call.rpc)
        try:
            response = await method(
                call.request, timeout=grpc_timeout(call.timeout, self._timeout), metadata=call.metadata
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        return call.parse(response)


def _open(address: str, tls: TlsOptions | None) -> grpc.aio.Channel:
    if tls is None:
        return grpc.aio.insecure_channel(address, options=channel_options())
    options = [*channel_options(), *tls.channel_options()]
    return grpc.aio.secure_channel(address, tls.credentials(), options=options)


def method_of(
    build: Callable[P, Call[Out]],
) -> Callable[Concatenate[AsyncConnection[Any], P], Coroutine[Any, Any, Out]]:
    """A method that makes the call which `build` describes; it has the signature and the docstring of `build`."""

    @wraps(build)
    async def method(client: AsyncConnection[Any], /, *args: P.args, **kwargs: P.kwargs) -> Out:
        return await client._perform(build(*args, **kwargs))

    method.__signature__ = method_signature(build)  # type: ignore[attr-defined]
    return method
