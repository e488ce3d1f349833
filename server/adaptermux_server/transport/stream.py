"""StreamAnalyze: many requests on one call, each answered by itself, a bounded number at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

from adaptermux.v1 import infer_pb2
from adaptermux_server.tasks.service import AnalyzeCall, InferenceService
from adaptermux_server.tracing.calls import streamed_request
from adaptermux_server.transport import checks, convert
from adaptermux_server.transport.border import Context, deadline_of
from adaptermux_server.transport.calls import note_failure
from adaptermux_server.transport.decoding import checked
from adaptermux_server.transport.security.access import AdapterAccess
from adaptermux_server.transport.status import status_of

_SPAN = "StreamAnalyze request"
_Response = infer_pb2.StreamAnalyzeResponse


class RequestStream:
    """One stream. A reader takes requests, a task answers each, the responses go out as they are ready.

    At most `max_concurrent` requests are between reading and sending. While the caller doesn't read, sending waits, so
    reading waits, so gRPC's flow control holds the caller up: memory stays bounded.
    """

    def __init__(
        self,
        service: InferenceService,
        max_concurrent: int,
        access: AdapterAccess,
        context: Context,
    ) -> None:
        self._service, self._access, self._context = service, access, context
        self._deadline = deadline_of(context)
        self._room = asyncio.Semaphore(max_concurrent)
        self._ready: asyncio.Queue[_Response | None] = asyncio.Queue()
        self._unanswered: set[str] = set()

    async def responses(
        self, requests: AsyncIterable[infer_pb2.StreamAnalyzeRequest]
    ) -> AsyncGenerator[_Response, None]:
        """Yield a response for each request; ends once the caller has closed its side and all are answered."""
        reader = asyncio.create_task(self._read(requests))
        try:
            while (response := await self._ready.get()) is not None:
                yield response
                self._room.release()
            await reader
        finally:
            reader.cancel()

    async def _read(self, requests: AsyncIterable[infer_pb2.StreamAnalyzeRequest]) -> None:
        """Start a task for each request. Cancelling the reader cancels them all."""
        try:
            async with asyncio.TaskGroup() as group:
                async for request in requests:
                    await self._room.acquire()
                    group.create_task(self._answer(request))
        finally:
            self._ready.put_nowait(None)

    async def _answer(self, request: infer_pb2.StreamAnalyzeRequest) -> None:
        try:
            request_id = checks.check_request_id(checked(request).request_id, self._unanswered)
        except Exception as error:
            self._ready.put_nowait(_Response(request_id=request.request_id, error=status_of(error)))
            return
        self._unanswered.add(request_id)
        with streamed_request(_SPAN, request_id) as part:
            try:
                response = _Response(request_id=request_id, response=await self._analyzed(request.request))
            except Exception as error:
                response = _Response(request_id=request_id, error=status_of(error))
                note_failure(part.span, response.error)
            finally:
                self._unanswered.discard(request_id)
        self._ready.put_nowait(response)

    async def _analyzed(self, request: infer_pb2.AnalyzeRequest) -> infer_pb2.AnalyzeResponse:
        call = self._checked_call(request)
        with self._access.checked([task.adapter for task in call.tasks]):
            return await self._service.analyze(call, self._deadline, convert.analyze_response)

    def _checked_call(self, request: infer_pb2.AnalyzeRequest) -> AnalyzeCall:
        call = checks.check_analyze(request)
        metadata = self._context.invocation_metadata()
        checks.check_routing([task.adapter for task in call.tasks], metadata)
        return checks.with_request_key(call, metadata)
