"""Service `Infer`: each handler checks the request, delegates, and converts the answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from adaptermux.v1 import infer_pb2, infer_pb2_grpc
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.tasks.service import AnalyzeCall, Analyzed, InferenceService
from adaptermux_server.transport import checks, convert
from adaptermux_server.transport.border import Context, deadline_of, server_stream, unary
from adaptermux_server.transport.security.access import AdapterAccess
from adaptermux_server.transport.stream import RequestStream
from adaptermux_server.types import ModelInfo

SERVICE_NAME = infer_pb2.DESCRIPTOR.services_by_name["Infer"].full_name
_Response = TypeVar("_Response")
_RPCS = [method.name for method in infer_pb2.DESCRIPTOR.services_by_name["Infer"].methods]


class InferServicer(infer_pb2_grpc.InferServicer):
    """Serves the data plane."""

    def __init__(
        self,
        service: InferenceService,
        model: ModelInfo,
        rpc_metrics: RpcMetrics,
        max_concurrent_streamed: int,
        access: AdapterAccess,
    ) -> None:
        """`max_concurrent_streamed`: requests of one stream that are worked on at once."""
        self.rpc_metrics = rpc_metrics
        self._service = service
        self._model = model
        self._max_concurrent_streamed = max_concurrent_streamed
        self._access = access

    @unary
    async def Classify(self, request: infer_pb2.ClassifyRequest, context: Context) -> infer_pb2.ClassifyResponse:
        """See infer.proto."""
        finish = convert.one_task_response(infer_pb2.ClassifyResponse, convert.classification)
        return await self._analyze(checks.check_classify(request), context, finish)

    @unary
    async def TagTokens(self, request: infer_pb2.TagTokensRequest, context: Context) -> infer_pb2.TagTokensResponse:
        """See infer.proto."""
        finish = convert.one_task_response(infer_pb2.TagTokensResponse, convert.tagged_sequence)
        return await self._analyze(checks.check_tag_tokens(request), context, finish)

    @unary
    async def Answer(self, request: infer_pb2.AnswerRequest, context: Context) -> infer_pb2.AnswerResponse:
        """See infer.proto."""
        finish = convert.one_task_response(infer_pb2.AnswerResponse, convert.answer_result)
        return await self._analyze(checks.check_answer(request), context, finish)

    @unary
    async def Embed(self, request: infer_pb2.EmbedRequest, context: Context) -> infer_pb2.EmbedResponse:
        """See infer.proto."""
        finish = convert.one_task_response(infer_pb2.EmbedResponse, convert.embedding)
        return await self._analyze(checks.check_embed(request), context, finish)

    @unary
    async def Analyze(self, request: infer_pb2.AnalyzeRequest, context: Context) -> infer_pb2.AnalyzeResponse:
        """See infer.proto."""
        return await self._analyze(checks.check_analyze(request), context, convert.analyze_response)

    @server_stream
    def StreamAnalyze(
        self, request_iterator: AsyncIterator[infer_pb2.StreamAnalyzeRequest], context: Context
    ) -> AsyncGenerator[infer_pb2.StreamAnalyzeResponse, None]:
        """See infer.proto."""
        stream = RequestStream(self._service, self._max_concurrent_streamed, self._access, context)
        return stream.responses(request_iterator)

    @unary
    async def Tokenize(self, request: infer_pb2.TokenizeRequest, context: Context) -> infer_pb2.TokenizeResponse:
        """See infer.proto."""
        finish = partial(convert.tokenize_response, max_tokens=self._model.max_tokens)
        return await self._service.tokenize(checks.check_inputs(request.inputs), finish)

    @unary
    async def GetModel(self, request: infer_pb2.GetModelRequest, context: Context) -> infer_pb2.GetModelResponse:
        """See infer.proto."""
        return convert.model_response(self._model, _RPCS)

    async def _analyze(self, call: AnalyzeCall, context: Context, finish: Callable[[Analyzed], _Response]) -> _Response:
        metadata = context.invocation_metadata()
        adapters = [task.adapter for task in call.tasks]
        checks.check_routing(adapters, metadata)
        call = checks.with_request_key(call, metadata)
        with self._access.checked(adapters):
            return await self._service.analyze(call, deadline_of(context), finish)
