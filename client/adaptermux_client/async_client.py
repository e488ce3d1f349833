"""The asyncio client for inference. It is made and used within one running loop."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TYPE_CHECKING, cast

import grpc

from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_client import calls, convert
from adaptermux_client.async_connection import AsyncConnection, method_of
from adaptermux_client.channel import DEFAULT_ADDRESS
from adaptermux_client.first_status import FirstStatus
from adaptermux_client.requests import AnalyzeRequest
from adaptermux_client.results import StreamedAnalysis
from adaptermux_client.security import TlsOptions, Token
from adaptermux_client.streams import AsyncFeed

if TYPE_CHECKING:  # one class of stub serves both at run time; only their types differ
    from adaptermux.v1.infer_pb2_grpc import InferAsyncStub


class AsyncAdapterMuxClient(AsyncConnection["InferAsyncStub"]):
    """Asks the data listener: classify, tag, answer, embed, analyze, tokenize.

    >>> async with AsyncAdapterMuxClient("127.0.0.1:50051") as client:
    ...     (await client.classify("sentiment", "A lovely film."))[0].best.label

    The signatures and docstrings of its methods are those of the functions in `calls`. Cancelling a task that awaits
    one cancels the call and gives its place in the server's queue back.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float | None = 30.0,
        channel: grpc.aio.Channel | None = None,
        tls: TlsOptions | None = None,
        token: Token | None = None,
    ) -> None:
        """Connect on the first call.

        Args:
            address: host and port of the data listener.
            timeout: seconds for a call, retries included, unless it says otherwise; None is none at all.
            channel: one that the caller prepared and closes; `address` is then unused.
            tls: how to encrypt, and to make sure of the server; None: neither.
            token: goes with each call, on channels without TLS too; one that is callable is asked before each call,
                in the loop, and so must not block.

        Raises:
            OSError: a file of `tls` can't be read.
            ValueError: a file isn't PEM, or no header can carry the token. Calls raise the latter too.
        """
        super().__init__(address, timeout, channel, tls, token)

    def _make_stub(self, channel: grpc.aio.Channel) -> "InferAsyncStub":
        return cast("InferAsyncStub", InferStub(channel))

    classify = method_of(calls.classify)
    tag = method_of(calls.tag)
    answer = method_of(calls.answer)
    embed = method_of(calls.embed)
    analyze = method_of(calls.analyze)
    tokenize = method_of(calls.tokenize)
    model = method_of(calls.model)

    async def stream_analyze(
        self,
        requests: Iterable[AnalyzeRequest] | AsyncIterable[AnalyzeRequest],
        *,
        max_in_flight: int = 32,
        request_key: str = "",
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncGenerator[StreamedAnalysis, None]:
        """Analyse any number of requests on one stream; outcomes come as they are ready, in any order.

        A request that fails has its own error and leaves the stream open. Closing the generator cancels the rest.

        Args:
            requests: drawn by another task while fewer than `max_in_flight` are unanswered. What it raises is raised
                here, after the outcomes of the requests before.
            max_in_flight: the most requests sent and not yet answered.
            request_key: see `classify`; it is that of all requests.
            timeout: seconds for the whole stream; None is none.

        Raises:
            AdapterMuxClientError: of the stream as a whole, for example a lost connection.
        """
        feed = AsyncFeed(requests, max_in_flight)
        stream = self.stub.StreamAnalyze(feed.messages(), timeout=timeout, metadata=calls.key_metadata(request_key))
        status = FirstStatus(stream)
        try:
            async for response in stream:
                feed.answered()
                yield convert.streamed(response)
        except grpc.RpcError as error:
            raise status.error(error) from error
        finally:
            stream.cancel()
        feed.raise_failure()
