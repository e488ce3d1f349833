"""The asyncio clients: one for inference, one for administration. Each is made and used within one running loop."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

import grpc

from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_client import admin_calls, calls, convert, health
from adaptermux_client.admin_results import AdapterInfo, AdapterState
from adaptermux_client.calls import Call, grpc_timeout, method_signature
from adaptermux_client.channel import DEFAULT_ADDRESS, DEFAULT_ADMIN_ADDRESS, channel_options
from adaptermux_client.errors import from_rpc_error
from adaptermux_client.requests import AnalyzeRequest
from adaptermux_client.results import HealthStatus, StreamedAnalysis
from adaptermux_client.streams import AsyncFeed

if TYPE_CHECKING:  # one class of stub serves both at run time; only their types differ
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub
    from adaptermux.v1.infer_pb2_grpc import InferAsyncStub

P = ParamSpec("P")
Out = TypeVar("Out")
Stub = TypeVar("Stub")


class AsyncConnection(Generic[Stub]):
    """A channel to one listener, its stub, and the way in which calls are made on it."""

    def __init__(self, address: str, timeout: float | None, channel: grpc.aio.Channel | None) -> None:
        self._own_channel = channel is None
        self._channel = channel or grpc.aio.insecure_channel(address, options=channel_options())
        self._timeout = timeout
        self._health = health.HealthStub(self._channel)
        self.stub: Stub = self._make_stub(self._channel)
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


def _method(
    build: Callable[P, Call[Out]],
) -> Callable[Concatenate[AsyncConnection[Any], P], Coroutine[Any, Any, Out]]:
    """A method that makes the call which `build` describes; it has the signature and the docstring of `build`."""

    @wraps(build)
    async def method(client: AsyncConnection[Any], /, *args: P.args, **kwargs: P.kwargs) -> Out:
        return await client._perform(build(*args, **kwargs))

    method.__signature__ = method_signature(build)  # type: ignore[attr-defined]
    return method


class AsyncAdapterMuxClient(AsyncConnection["InferAsyncStub"]):
    """Asks the data listener: classify, tag, answer, embed, analyze, tokenize.

    >>> async with AsyncAdapterMuxClient("127.0.0.1:50051") as client:
    ...     (await client.classify("sentiment", "A lovely film."))[0].best.label

    The signatures and docstrings of its methods are those of the functions in `calls`. Cancelling a task that awaits
    one cancels the call and gives its place in the server's queue back.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, timeout: float | None = 30.0, channel: grpc.aio.Channel | None = None
    ) -> None:
        """Connect on the first call.

        Args:
            address: host and port of the data listener.
            timeout: seconds for a call, retries included, unless it says otherwise; None is none at all.
            channel: one that the caller prepared (for TLS, say) and closes; `address` is then unused.
        """
        super().__init__(address, timeout, channel)

    def _make_stub(self, channel: grpc.aio.Channel) -> "InferAsyncStub":
        return cast("InferAsyncStub", InferStub(channel))

    classify = _method(calls.classify)
    tag = _method(calls.tag)
    answer = _method(calls.answer)
    embed = _method(calls.embed)
    analyze = _method(calls.analyze)
    tokenize = _method(calls.tokenize)
    model = _method(calls.model)

    async def stream_analyze(
        self,
        requests: Iterable[AnalyzeRequest] | AsyncIterable[AnalyzeRequest],
        *,
        max_in_flight: int = 32,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncGenerator[StreamedAnalysis, None]:
        """Analyse any number of requests on one stream; outcomes come as they are ready, in any order.

        A request that fails has its own error and leaves the stream open. Closing the generator cancels the rest.

        Args:
            requests: drawn by another task while fewer than `max_in_flight` are unanswered. What it raises is raised
                here, after the outcomes of the requests before.
            max_in_flight: the most requests sent and not yet answered.
            timeout: seconds for the whole stream; None is none.

        Raises:
            AdapterMuxClientError: of the stream as a whole, for example a lost connection.
        """
        feed = AsyncFeed(requests, max_in_flight)
        stream = self.stub.StreamAnalyze(feed.messages(), timeout=timeout)
        try:
            async for response in stream:
                feed.answered()
                yield convert.streamed(response)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()
        feed.raise_failure()


class AsyncAdminClient(AsyncConnection["AdapterAdminAsyncStub"]):
    """Asks the admin listener: load, unload and list adapters, describe the server.

    The signatures and docstrings of its methods are those of the functions in `admin_calls`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADMIN_ADDRESS,
        *,
        timeout: float | None = 120.0,
        channel: grpc.aio.Channel | None = None,
    ) -> None:
        """As `AsyncAdapterMuxClient`; `address` is that of the admin listener, and loads take longer."""
        super().__init__(address, timeout, channel)

    def _make_stub(self, channel: grpc.aio.Channel) -> "AdapterAdminAsyncStub":
        return cast("AdapterAdminAsyncStub", AdapterAdminStub(channel))

    load_adapter = _method(admin_calls.load_adapter)
    unload_adapter = _method(admin_calls.unload_adapter)
    adapter = _method(admin_calls.adapter)
    adapter_page = _method(admin_calls.adapter_page)
    status = _method(admin_calls.status)

    async def adapters(
        self,
        *,
        state: AdapterState = AdapterState.UNSPECIFIED,
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncIterator[AdapterInfo]:
        """Walk over all adapters by id, fetching page after page; see `adapter_page`."""
        token = ""
        while True:
            page = await self.adapter_page(state=state, page_size=page_size, page_token=token, timeout=timeout)
            for adapter in page.adapters:
                yield adapter
            token = page.next_page_token
            if not token:
                return
