"""The blocking client for inference. Safe to share between threads."""

from collections.abc import Generator, Iterable

import grpc

from adaptermux.v1.infer_pb2_grpc import InferStub
from adaptermux_client import calls, convert
from adaptermux_client.channel import DEFAULT_ADDRESS
from adaptermux_client.errors import from_rpc_error
from adaptermux_client.requests import AnalyzeRequest
from adaptermux_client.results import StreamedAnalysis
from adaptermux_client.security import TlsOptions, Token
from adaptermux_client.streams import SyncFeed
from adaptermux_client.sync_connection import SyncConnection, method_of


class AdapterMuxClient(SyncConnection[InferStub]):
    """Asks the data listener: classify, tag, answer, embed, analyze, tokenize.

    >>> with AdapterMuxClient("127.0.0.1:50051") as client:
    ...     client.classify("sentiment", "A lovely film.")[0].best.label

    The signatures and docstrings of its methods are those of the functions in `calls`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout: float | None = 30.0,
        channel: grpc.Channel | None = None,
        tls: TlsOptions | None = None,
        token: Token | None = None,
    ) -> None:
        """Connect on the first call.

        Args:
            address: host and port of the data listener.
            timeout: seconds for a call, retries included, unless it says otherwise; None is none at all.
            channel: one that the caller prepared and closes; `address` is then unused.
            tls: how to encrypt, and to make sure of the server; None: neither.
            token: goes with each call, on channels without TLS too; one that is callable is asked before each call
                and so should be quick.

        Raises:
            OSError: a file of `tls` can't be read.
            ValueError: a file isn't PEM, or no header can carry the token. Calls raise the latter too.
        """
        super().__init__(address, timeout, channel, tls, token)

    def _make_stub(self, channel: grpc.Channel) -> InferStub:
        return InferStub(channel)

    classify = method_of(calls.classify)
    tag = method_of(calls.tag)
    answer = method_of(calls.answer)
    embed = method_of(calls.embed)
    analyze = method_of(calls.analyze)
    tokenize = method_of(calls.tokenize)
    model = method_of(calls.model)

    def stream_analyze(
        self,
        requests: Iterable[AnalyzeRequest],
        *,
        max_in_flight: int = 32,
        request_key: str = "",
        timeout: float | None = None,
    ) -> Generator[StreamedAnalysis, None, None]:
        """Analyse any number of requests on one stream; outcomes come as they are ready, in any order.

        A request that fails has its own error and leaves the stream open. Closing the generator cancels the rest.

        Args:
            requests: drawn from another thread while fewer than `max_in_flight` are unanswered. What it raises is
                raised here, after the outcomes of the requests before.
            max_in_flight: the most requests sent and not yet answered.
            request_key: see `classify`; it is that of all requests.
            timeout: seconds for the whole stream; None is none.

        Raises:
            AdapterMuxClientError: of the stream as a whole, for example a lost connection.
        """
        feed = SyncFeed(requests, max_in_flight)
        stream = self.stub.StreamAnalyze(feed.messages(), timeout=timeout, metadata=calls.key_metadata(request_key))
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
