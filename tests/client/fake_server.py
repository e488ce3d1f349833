"""A server that answers by the rules of `fake_answers`, remembers what it was asked, and fails or waits when told to.

Threads, not asyncio: the same server then serves the blocking client, the asyncio client and a CLI in a process.
"""

import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from tests.client.fake_answers import (
    POS,
    SENTIMENT,
    TIMINGS,
    adapter_ref,
    analyzed,
    answered,
    classification,
    embedding,
    model_info,
    not_found,
    pieces_of,
    server_status,
    tagged,
)

Context = grpc.ServicerContext


class Script:
    """What the fake was asked, and what it shall do next."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.time_remaining: list[float | None] = []
        self.failures: list[status_pb2.Status] = []
        """The next calls fail with these, one each."""
        self.hold: threading.Event | None = None
        """If set, calls wait for it."""
        self.arrived = threading.Event()
        self.gone = threading.Event()
        """Set when a held call ends before it was let go."""

    def enter(self, request: Message, context: Context) -> None:
        """Remember a call; then wait or fail if told to."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.time_remaining.append(context.time_remaining())
        if self.hold is not None:
            context.add_callback(self.gone.set)
            self.arrived.set()
            self.hold.wait(30)
        if self.failures:
            context.abort_with_status(rpc_status.to_status(self.failures.pop(0)))


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


class FakeAdmin(adapter_admin_pb2_grpc.AdapterAdminServicer):
    """`AdapterAdmin` over a dictionary of adapters, two to a page."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.adapters = {adapter.id: adapter for adapter in (SENTIMENT, POS)}

    def LoadAdapter(
        self, request: adapter_admin_pb2.LoadAdapterRequest, context: Context
    ) -> adapter_admin_pb2.LoadAdapterResponse:
        self._script.enter(request, context)
        adapter = adapter_admin_pb2.Adapter()
        adapter.CopyFrom(SENTIMENT)
        adapter.id, adapter.uri, adapter.weight = request.adapter_id, request.uri, request.weight
        if request.validate_only:
            adapter.state = adapter_admin_pb2.ADAPTER_STATE_UNLOADED
        else:
            self.adapters[adapter.id] = adapter
        return adapter_admin_pb2.LoadAdapterResponse(adapter=adapter)

    def UnloadAdapter(
        self, request: adapter_admin_pb2.UnloadAdapterRequest, context: Context
    ) -> adapter_admin_pb2.UnloadAdapterResponse:
        self._script.enter(request, context)
        adapter = self._known(request.adapter_id, context)
        gone = adapter_admin_pb2.Adapter(id=adapter.id, state=adapter_admin_pb2.ADAPTER_STATE_UNLOADED)
        return adapter_admin_pb2.UnloadAdapterResponse(adapter=gone)

    def GetAdapter(
        self, request: adapter_admin_pb2.GetAdapterRequest, context: Context
    ) -> adapter_admin_pb2.GetAdapterResponse:
        self._script.enter(request, context)
        return adapter_admin_pb2.GetAdapterResponse(adapter=self._known(request.adapter_id, context))

    def ListAdapters(
        self, request: adapter_admin_pb2.ListAdaptersRequest, context: Context
    ) -> adapter_admin_pb2.ListAdaptersResponse:
        self._script.enter(request, context)
        ids, size = sorted(self.adapters), request.page_size or 2
        start = int(request.page_token or 0)
        page = [self.adapters[each] for each in ids[start : start + size]]
        token = str(start + size) if start + size < len(ids) else ""
        return adapter_admin_pb2.ListAdaptersResponse(adapters=page, next_page_token=token)

    def GetServerStatus(
        self, request: adapter_admin_pb2.GetServerStatusRequest, context: Context
    ) -> adapter_admin_pb2.GetServerStatusResponse:
        self._script.enter(request, context)
        return server_status()

    def _known(self, adapter_id: str, context: Context) -> adapter_admin_pb2.Adapter:
        if adapter_id not in self.adapters:
            context.abort_with_status(rpc_status.to_status(not_found(adapter_id)))
        return self.adapters[adapter_id]


class FakeServer:
    """Both services and health on one port of loopback."""

    def __init__(self) -> None:
        self.script = Script()
        self.admin = FakeAdmin(self.script)
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
        infer_pb2_grpc.add_InferServicer_to_server(FakeInfer(self.script), self._server)
        adapter_admin_pb2_grpc.add_AdapterAdminServicer_to_server(self.admin, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        """Stop at once; held calls are let go."""
        if self.script.hold is not None:
            self.script.hold.set()
        self._server.stop(grace=0).wait(10)
