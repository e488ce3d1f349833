"""The blocking clients: one for inference, one for administration. Safe to share between threads."""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

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
from adaptermux_client.streams import SyncFeed

P = ParamSpec("P")
Out = TypeVar("Out")
Stub = TypeVar("Stub")


class SyncConnection(Generic[Stub]):
    """A channel to one listener, its stub, and the way in which calls are made on it."""

    def __init__(self, address: str, timeout: float | None, channel: grpc.Channel | None) -> None:
        self._own_channel = channel is None
        self._channel = channel or grpc.insecure_channel(address, options=channel_options())
        self._timeout = timeout
        self._health = health.HealthStub(self._channel)
        self.stub: Stub = self._make_stub(self._channel)
        """The generated stub, for whatever this client doesn't wrap."""

    def _make_stub(self, channel: grpc.Channel) -> Stub:
        raise NotImplementedError

    def health(self, service: str = "", *, timeout: float | None = None) -> HealthStatus:
        """Ask whether the server, or one of its services by full name, serves. Unknown service: NotFoundError."""
        return self._perform(health.check(service, timeout=timeout), self._health)

    def close(self) -> None:
        """Close the channel, unless the caller prepared it. Calls in flight are cancelled."""
        if self._own_channel:
            self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _perform(self, call: Call[Out], stub: Any = None) -> Out:
        method = getattr(stub or self.stub, call.rpc)
        try:
            response = method(call.request, timeout=grpc_timeout(call.timeout, self._timeout), metadata=call.metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        return call.parse(response)


def _method(build: Callable[P, Call[Out]]) -> Callable[Concatenate[SyncConnection[Any], P], Out]:
    """A method that makes the call which `build` describes; it has the signature and the docstring of `build`."""

    @wraps(build)
    def method(client: SyncConnection[Any], /, *args: P.args, **kwargs: P.kwargs) -> Out:
        return client._perform(build(*args, **kwargs))

    method.__signature__ = method_signature(build)  # type: ignore[attr-defined]
    return method


class AdapterMuxClient(SyncConnection[InferStub]):
    """Asks the data listener: classify, tag, answer, embed, analyze, tokenize.

    >>> with AdapterMuxClient("127.0.0.1:50051") as client:
    ...     client.classify("sentiment", "A lovely film.")[0].best.label

    The signatures and docstrings of its methods are those of the functions in `calls`.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, *, timeout: float | None = 30.0, channel: grpc.Channel | None = None
    ) -> None:
        """Connect on the first call.

        Args:
            address: host and port of the data listener.
            timeout: seconds for a call, retries included, unless it says otherwise; None is none at all.
            channel: one that the caller prepared (for TLS, say) and closes; `address` is then unused.
        """
        super().__init__(address, timeout, channel)

    def _make_stub(self, channel: grpc.Channel) -> InferStub:
        return InferStub(channel)

    classify = _method(calls.classify)
    tag = _method(calls.tag)
    answer = _method(calls.answer)
    embed = _method(calls.embed)
    analyze = _method(calls.analyze)
    tokenize = _method(calls.tokenize)
    model = _method(calls.model)

    def stream_analyze(
        self, requests: Iterable[AnalyzeRequest], *, max_in_flight: int = 32, timeout: float | None = None
    ) -> Generator[StreamedAnalysis, None, None]:
        """Analyse any number of requests on one stream; outcomes come as they are ready, in any order.

        A request that fails has its own error and leaves the stream open. Closing the generator cancels the rest.

        Args:
            requests: drawn from another thread while fewer than `max_in_flight` are unanswered. What it raises is
                raised here, after the outcomes of the requests before.
            max_in_flight: the most requests sent and not yet answered.
            timeout: seconds for the whole stream; None is none.

        Raises:
            AdapterMuxClientError: of the stream as a whole, for example a lost connection.
        """
        feed = SyncFeed(requests, max_in_flight)
        stream = self.stub.StreamAnalyze(feed.messages(), timeout=timeout)
        try:
            for response in stream:
                feed.answered()
                yield convert.streamed(response)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            feed.close()
            stream.cancel()
        feed.raise_failure()


class AdminClient(SyncConnection[AdapterAdminStub]):
    """Asks the admin listener: load, unload and list adapters, describe the server.

    The signatures and docstrings of its methods are those of the functions in `admin_calls`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADMIN_ADDRESS,
        *,
        timeout: float | None = 120.0,
        channel: grpc.Channel | None = None,
    ) -> None:
        """As `AdapterMuxClient`; `address` is that of the admin listener, and loads take longer."""
        super().__init__(address, timeout, channel)

    def _make_stub(self, channel: grpc.Channel) -> AdapterAdminStub:
        return AdapterAdminStub(channel)

    load_adapter = _method(admin_calls.load_adapter)
    unload_adapter = _method(admin_calls.unload_adapter)
    adapter = _method(admin_calls.adapter)
    adapter_page = _method(admin_calls.adapter_page)
    status = _method(admin_calls.status)

    def adapters(
        self,
        *,
        state: AdapterState = AdapterState.UNSPECIFIED,
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[AdapterInfo]:
        """Walk over all adapters by id, fetching page after page; see `adapter_page`."""
        token = ""
        while True:
            page = self.adapter_page(state=state, page_size=page_size, page_token=token, timeout=timeout)
            yield from page.adapters
            token = page.next_page_token
            if not token:
                return
