"""Each inference request of the table as the call that a user of the asyncio client would write."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from adaptermux.v1 import infer_pb2
from adaptermux_client import (
    AnalyzeRequest,
    AnalyzeTask,
    AnswerTask,
    AsyncAdapterMuxClient,
    ClassifyTask,
    EmbedTask,
    Input,
    Pooling,
    ProblemType,
    TagTask,
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a call has beside its request."""

    seconds: float | None
    """Its deadline; None: the client's own."""
    request_key: str
    """Empty: none."""


async def _classify(client: AsyncAdapterMuxClient, request: infer_pb2.ClassifyRequest, options: Options) -> Any:
    task = _classify_task(request.adapter, request.options)
    return await client.classify(
        request.adapter,
        _inputs(request.inputs),
        top_k=task.top_k,
        problem_type=task.problem_type,
        return_logits=task.return_logits,
        truncate=request.truncate,
        request_key=options.request_key,
        timeout=options.seconds,
    )


async def _tag(client: AsyncAdapterMuxClient, request: infer_pb2.TagTokensRequest, options: Options) -> Any:
    task = _tag_task(request.adapter, request.options)
    return await client.tag(
        request.adapter,
        _inputs(request.inputs),
        spans=task.spans,
        top_k=task.top_k,
        return_logits=task.return_logits,
        truncate=request.truncate,
        request_key=options.request_key,
        timeout=options.seconds,
    )


async def _answer(client: AsyncAdapterMuxClient, request: infer_pb2.AnswerRequest, options: Options) -> Any:
    task = _answer_task(request.adapter, request.options)
    return await client.answer(
        request.adapter,
        [(each.question, each.context) for each in request.inputs],
        top_k=task.top_k,
        max_answer_tokens=task.max_answer_tokens,
        allow_no_answer=task.allow_no_answer,
        return_logits=task.return_logits,
        truncate=request.truncate,
        request_key=options.request_key,
        timeout=options.seconds,
    )


async def _embed(client: AsyncAdapterMuxClient, request: infer_pb2.EmbedRequest, options: Options) -> Any:
    task = _embed_task(request.adapter, request.options)
    return await client.embed(
        _inputs(request.inputs),
        adapter=request.adapter,
        pooling=task.pooling,
        normalize=task.normalize,
        truncate=request.truncate,
        request_key=options.request_key,
        timeout=options.seconds,
    )


async def _analyze(client: AsyncAdapterMuxClient, request: infer_pb2.AnalyzeRequest, options: Options) -> Any:
    wanted = analyze_request(request)
    return await client.analyze(
        wanted.tasks,
        wanted.inputs,
        truncate=wanted.truncate,
        request_key=options.request_key,
        timeout=options.seconds,
    )


async def _tokenize(client: AsyncAdapterMuxClient, request: infer_pb2.TokenizeRequest, options: Options) -> Any:
    return await client.tokenize(_inputs(request.inputs), timeout=options.seconds)


async def _model(client: AsyncAdapterMuxClient, request: Message, options: Options) -> Any:
    return await client.model(timeout=options.seconds)


BY_RPC: dict[str, Callable[[AsyncAdapterMuxClient, Any, Options], Awaitable[Any]]] = {
    "Classify": _classify,
    "TagTokens": _tag,
    "Answer": _answer,
    "Embed": _embed,
    "Analyze": _analyze,
    "Tokenize": _tokenize,
    "GetModel": _model,
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
