"""A server that answers by the rules of `fake_answers`, remembers what it was asked, and fails or waits when told to.

Threads, not asyncio: the same server then serves the blocking client, the asyncio client and a CLI in a process.
"""

from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from adaptermux.v1 import adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from tests.client.fake_admin import FakeAdmin
from tests.client.fake_answers import (
    TIMINGS,
    adapter_ref,
    analyzed,
    answered,
    classification,
    embedding,
    model_info,
    not_found,
    pieces_of,
    tagged,
)
from tests.client.script import Context, Script


class FakeInfer(infer_pb2_grpc.InferServicer):
    """`Infer` by rules."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def _enter(self, request: Any, context: Context) -> None:
        self._script.enter(request, context)
        if request.adapter == "unknown":
            context.abort_with_status(rpc_status.to_status(not_found(request.adapter)))

    def Classify(self, request: infer_pb2.ClassifyRequest, context: Context) -> infer_pb2.ClassifyResponse:
        self._enter(request, context)
        results = [classification(each, request.options) for each in request.inputs]
        return infer_pb2.ClassifyResponse(results=results, adapter=adapter_ref(request.adapter), timings=TIMINGS)

    def TagTokens(self, request: infer_pb2.TagTokensRequest, context: Context) -> infer_pb2.TagTokensResponse:
        self._enter(request, context)
        results = [tagged(each, request.options) for each in request.inputs]
        return infer_pb2.TagTokensResponse(results=results, adapter=adapter_ref(request.adapter), timings=TIMINGS)

    def Answer(self, request: infer_pb2.AnswerRequest, context: Context) -> infer_pb2.AnswerResponse:
        self._enter(request, context)
        results = [answered(each.question, each.context, request.options) for each in request.inputs]
        return infer_pb2.AnswerResponse(results=results, adapter=adapter_ref(request.adapter), timings=TIMINGS)

    def Embed(self, request: infer_pb2.EmbedRequest, context: Context) -> infer_pb2.EmbedResponse:
        self._enter(request, context)
        ref = adapter_ref(request.adapter) if request.adapter else None
        return infer_pb2.EmbedResponse(results=map(embedding, request.inputs), adapter=ref, timings=TIMINGS)

    def Analyze(self, request: infer_pb2.AnalyzeRequest, context: Context) -> infer_pb2.AnalyzeResponse:
        self._script.enter(request, context)
        return analyzed(request)

    def StreamAnalyze(
        self, request_iterator: Iterator[infer_pb2.StreamAnalyzeRequest], context: Context
    ) -> Iterator[infer_pb2.StreamAnalyzeResponse]:
        for request in request_iterator:
            self._script.enter(request, context)
            name = request.request.tasks[0].adapter
            if name == "unknown":
                yield infer_pb2.StreamAnalyzeResponse(request_id=request.request_id, error=not_found(name))
            else:
                yield infer_pb2.StreamAnalyzeResponse(request_id=request.request_id, response=analyzed(request.request))

    def Tokenize(self, request: infer_pb2.TokenizeRequest, context: Context) -> infer_pb2.TokenizeResponse:
        self._script.enter(request, context)
        response = infer_pb2.TokenizeResponse(max_tokens=512)
        for each in request.inputs:
            result = response.results.add()
            result.tokens.add(id=101, text="[CLS]", special=True)
            for index, piece in enumerate(pieces_of(each)):
                result.tokens.add(id=1000 + index, text=piece.lower(), start=0, end=len(piece))
        return response

    def GetModel(self, request: infer_pb2.GetModelRequest, context: Context) -> infer_pb2.GetModelResponse:
        self._script.enter(request, context)
        return model_info()


class FakeServer:
    """Both services and health on one port of loopback."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        """`address`: that of one that was closed, to come back there."""
        self.script = Script()
        self.admin = FakeAdmin(self.script)
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
        infer_pb2_grpc.add_InferServicer_to_server(FakeInfer(self.script), self._server)
        adapter_admin_pb2_grpc.add_AdapterAdminServicer_to_server(self.admin, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port(address)}"
        self._server.start()

    def close(self) -> None:
        """Stop at once; held calls are let go."""
        if self.script.hold is not None:
            self.script.hold.set()
        self._server.stop(grace=0).wait(10)
