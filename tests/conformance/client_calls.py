"""Each request of the table as the call that a user of the asyncio client would write."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from adaptermux.v1 import infer_pb2
from adaptermux_client import (
    AdapterState,
    AnalyzeRequest,
    AnalyzeTask,
    AnswerTask,
    AsyncAdapterMuxClient,
    AsyncAdminClient,
    ClassifyTask,
    EmbedTask,
    Input,
    Pooling,
    ProblemType,
    TagTask,
)

_Client: TypeAlias = AsyncAdapterMuxClient
_Admin: TypeAlias = AsyncAdminClient
_Seconds: TypeAlias = float | None


async def _classify(client: _Client, _: _Admin, request: infer_pb2.ClassifyRequest, seconds: _Seconds) -> Any:
    task = _classify_task(request.adapter, request.options)
    return await client.classify(
        request.adapter,
        _inputs(request.inputs),
        top_k=task.top_k,
        problem_type=task.problem_type,
        return_logits=task.return_logits,
        truncate=request.truncate,
        timeout=seconds,
    )


async def _tag(client: _Client, _: _Admin, request: infer_pb2.TagTokensRequest, seconds: _Seconds) -> Any:
    task = _tag_task(request.adapter, request.options)
    return await client.tag(
        request.adapter,
        _inputs(request.inputs),
        spans=task.spans,
        top_k=task.top_k,
        return_logits=task.return_logits,
        truncate=request.truncate,
        timeout=seconds,
    )


async def _answer(client: _Client, _: _Admin, request: infer_pb2.AnswerRequest, seconds: _Seconds) -> Any:
    task = _answer_task(request.adapter, request.options)
    return await client.answer(
        request.adapter,
        [(each.question, each.context) for each in request.inputs],
        top_k=task.top_k,
        max_answer_tokens=task.max_answer_tokens,
        allow_no_answer=task.allow_no_answer,
        return_logits=task.return_logits,
        truncate=request.truncate,
        timeout=seconds,
    )


async def _embed(client: _Client, _: _Admin, request: infer_pb2.EmbedRequest, seconds: _Seconds) -> Any:
    task = _embed_task(request.adapter, request.options)
    return await client.embed(
        _inputs(request.inputs),
        adapter=request.adapter,
        pooling=task.pooling,
        normalize=task.normalize,
        truncate=request.truncate,
        timeout=seconds,
    )


async def _analyze(client: _Client, _: _Admin, request: infer_pb2.AnalyzeRequest, seconds: _Seconds) -> Any:
    wanted = analyze_request(request)
    return await client.analyze(wanted.tasks, wanted.inputs, truncate=wanted.truncate, timeout=seconds)


async def _tokenize(client: _Client, _: _Admin, request: infer_pb2.TokenizeRequest, seconds: _Seconds) -> Any:
    return await client.tokenize(_inputs(request.inputs), timeout=seconds)


async def _model(client: _Client, _: _Admin, request: Message, seconds: _Seconds) -> Any:
    return await client.model(timeout=seconds)


async def _load(_: _Client, admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    adapter = await admin.load_adapter(
        request.adapter_id,
        request.uri,
        labels=request.labels,
        weight=request.weight or 1.0,
        max_wait_seconds=_seconds(request.max_wait) if request.HasField("max_wait") else None,
        validate_only=request.validate_only,
        timeout=seconds,
    )
    return {"adapter": adapter}


async def _unload(_: _Client, admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    drain = _seconds(request.drain_timeout) if request.HasField("drain_timeout") else 30.0
    adapter = await admin.unload_adapter(
        request.adapter_id, drain_timeout_seconds=drain, force=request.force, timeout=seconds
    )
    return {"adapter": adapter}


async def _get(_: _Client, admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    return {"adapter": await admin.adapter(request.adapter_id, timeout=seconds)}


async def _list(_: _Client, admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    walk = admin.adapters(state=list(AdapterState)[request.state], page_size=request.page_size, timeout=seconds)
    return {"adapters": [adapter async for adapter in walk]}


async def _status(_: _Client, admin: _Admin, request: Message, seconds: _Seconds) -> Any:
    return await admin.status(timeout=seconds)


BY_RPC: dict[str, Callable[[_Client, _Admin, Any, _Seconds], Awaitable[Any]]] = {
    "Classify": _classify,
    "TagTokens": _tag,
    "Answer": _answer,
    "Embed": _embed,
    "Analyze": _analyze,
    "Tokenize": _tokenize,
    "GetModel": _model,
    "LoadAdapter": _load,
    "UnloadAdapter": _unload,
    "GetAdapter": _get,
    "ListAdapters": _list,
    "GetServerStatus": _status,
}


def analyze_request(message: infer_pb2.AnalyzeRequest) -> AnalyzeRequest:
    """A request of `analyze`, or of a stream, as the client takes it."""
    return AnalyzeRequest([_task(each) for each in message.tasks], _inputs(message.inputs), message.truncate)


def _task(message: infer_pb2.AnalyzeTask) -> AnalyzeTask:
    match message.WhichOneof("options"):
        case "classify":
            return _classify_task(message.adapter, message.classify)
        case "tag":
            return _tag_task(message.adapter, message.tag)
        case "answer":
            return _answer_task(message.adapter, message.answer)
        case "embed":
            return _embed_task(message.adapter, message.embed)
    return message.adapter


def _classify_task(adapter: str, options: infer_pb2.ClassifyOptions) -> ClassifyTask:
    problem_type = list(ProblemType)[options.problem_type]
    return ClassifyTask(adapter, options.top_k, problem_type, options.return_logits)


def _tag_task(adapter: str, options: infer_pb2.TagOptions) -> TagTask:
    spans = options.view == infer_pb2.TAG_VIEW_SPANS
    return TagTask(adapter, spans, options.top_k, options.return_logits)


def _answer_task(adapter: str, options: infer_pb2.AnswerOptions) -> AnswerTask:
    return AnswerTask(adapter, options.top_k, options.max_answer_tokens, options.allow_no_answer, options.return_logits)


def _embed_task(adapter: str, options: infer_pb2.EmbedOptions) -> EmbedTask:
    pooling = infer_pb2.Pooling.Name(options.pooling).removeprefix("POOLING_")
    return EmbedTask(adapter, Pooling.MEAN if pooling == "UNSPECIFIED" else Pooling(pooling), options.normalize)


def _inputs(messages: Iterable[infer_pb2.Input]) -> list[Input]:
    return [_input(message) for message in messages]


def _input(message: infer_pb2.Input) -> Input:
    if message.WhichOneof("content") == "words":
        return list(message.words.words)
    return (message.text, message.text_pair) if message.text_pair else message.text


def _seconds(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e9
