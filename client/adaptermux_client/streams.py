"""The sending sides of `StreamAnalyze`: number the caller's requests and bound how many are unanswered."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

from adaptermux.v1 import infer_pb2
from adaptermux_client.requests import AnalyzeRequest


def _message(index: int, request: AnalyzeRequest) -> infer_pb2.StreamAnalyzeRequest:
    return infer_pb2.StreamAnalyzeRequest(request_id=str(index), request=request.to_message())


def _checked(max_in_flight: int) -> int:
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight must be at least 1, not {max_in_flight}")
    return max_in_flight


class SyncFeed:
    """Sends from gRPC's own thread, while the caller's thread reads."""

    def __init__(self, requests: Iterable[AnalyzeRequest], max_in_flight: int) -> None:
        self._requests = requests
        self._places = threading.Semaphore(_checked(max_in_flight))
        self._closed = False
        self._failure: Exception | None = None

    def messages(self) -> Iterator[infer_pb2.StreamAnalyzeRequest]:
        """The requests, each as soon as there is a place for it; ends early if one can't be drawn."""
        try:
            for index, request in enumerate(self._requests):
                self._places.acquire()
                if self._closed:
                    return
                yield _message(index, request)
        except Exception as error:  # gRPC would log it and cancel the stream; the caller wants it raised
            self._failure = error

    def answered(self) -> None:
        """Give one place back."""
        self._places.release()

    def close(self) -> None:
        """Let the sending thread go if it waits for a place."""
        self._closed = True
        self._places.release()

    def raise_failure(self) -> None:
        """Raise what drawing the requests raised, if anything."""
        if self._failure is not None:
            raise self._failure


class AsyncFeed:
    """Sends from a task of the caller's loop."""

    def __init__(self, requests: Iterable[AnalyzeRequest] | AsyncIterable[AnalyzeRequest], max_in_flight: int) -> None:
        self._requests = requests
        self._places = asyncio.Semaphore(_checked(max_in_flight))
        self._failure: Exception | None = None

    async def messages(self) -> AsyncIterator[infer_pb2.StreamAnalyzeRequest]:
        """The requests, each as soon as there is a place for it; ends early if one can't be drawn."""
        try:
            index = 0
            async for request in _drawn(self._requests):
                await self._places.acquire()
                yield _message(index, request)
                index += 1
        except Exception as error:  # as in SyncFeed
            self._failure = error

    def answered(self) -> None:
        """Give one place back."""
        self._places.release()

    def raise_failure(self) -> None:
        """Raise what drawing the requests raised, if anything."""
        if self._failure is not None:
            raise self._failure


async def _drawn(requests: Iterable[AnalyzeRequest] | AsyncIterable[AnalyzeRequest]) -> AsyncIterator[AnalyzeRequest]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request
