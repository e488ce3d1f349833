"""From response messages of `Infer` to results: pure, shared by the sync and the asyncio clients."""

from enum import StrEnum
from typing import TypeVar

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_client.errors import AdapterMuxClientError, from_status
from adaptermux_client.results import (
    AdapterRef,
    Analysis,
    AnswerResult,
    AnswerSpan,
    Classification,
    Embedding,
    InputAnalysis,
    LabelScore,
    ModelInfo,
    ProblemType,
    Results,
    Span,
    StreamedAnalysis,
    Tag,
    TaggedSequence,
    TaskResult,
    Timings,
    Token,
    Tokenization,
    TokenizedInput,
)

_E = TypeVar("_E", bound=StrEnum)


def classify_results(response: infer_pb2.ClassifyResponse) -> Results[Classification]:
    """The results of `Classify`."""
    return Results(tuple(map(_classification, response.results)), _adapter_of(response), _timings(response.timings))


def tag_results(response: infer_pb2.TagTokensResponse) -> Results[TaggedSequence]:
    """The results of `TagTokens`."""
    return Results(tuple(map(_tagged, response.results)), _adapter_of(response), _timings(response.timings))


def answer_results(response: infer_pb2.AnswerResponse) -> Results[AnswerResult]:
    """The results of `Answer`."""
    return Results(tuple(map(_answer, response.results)), _adapter_of(response), _timings(response.timings))


def embed_results(response: infer_pb2.EmbedResponse) -> Results[Embedding]:
    """The results of `Embed`."""
    return Results(tuple(map(_embedding, response.results)), _adapter_of(response), _timings(response.timings))


def analyze_results(response: infer_pb2.AnalyzeResponse) -> Results[InputAnalysis]:
    """The results of `Analyze`."""
    results = tuple(InputAnalysis(tuple(map(_analysis, result.analyses))) for result in response.results)
    return Results(results, None, _timings(response.timings))


def streamed(response: infer_pb2.StreamAnalyzeResponse) -> StreamedAnalysis:
    """One outcome of `StreamAnalyze`; the ids that this client gives are the requests' indexes."""
    index = int(response.request_id)
    if response.WhichOneof("outcome") == "error":
        return StreamedAnalysis(index, None, from_status(response.error))
    return StreamedAnalysis(index, analyze_results(response.response), None)


def tokenization(response: infer_pb2.TokenizeResponse) -> Tokenization:
    """The results of `Tokenize`."""
    return Tokenization(tuple(map(_tokenized, response.results)), response.max_tokens)


def model_info(response: infer_pb2.GetModelResponse) -> ModelInfo:
    """The result of `GetModel`."""
    return ModelInfo(
        model_id=response.model_id,
        architecture=response.architecture,
        dtype=response.dtype,
        device=response.device,
        hidden_size=response.hidden_size,
        max_tokens=response.max_tokens,
        vocab_size=response.vocab_size,
        num_parameters=response.num_parameters,
        rpcs=tuple(response.rpcs),
        peft_types=tuple(response.peft_types),
    )


def enum_member(cls: type[_E], values: EnumDescriptor, prefix: str, number: int) -> _E:
    """The member of `cls` for a message's enum value; UNSPECIFIED for one that this client doesn't know yet."""
    value = values.values_by_number.get(number)
    name = value.name.removeprefix(prefix) if value else "UNSPECIFIED"
    return cls.__members__.get(name, cls("UNSPECIFIED"))


def problem_type(number: int) -> ProblemType:
    """The problem type of a message's value."""
    return enum_member(ProblemType, types_pb2.ProblemType.DESCRIPTOR, "PROBLEM_TYPE_", number)


def seconds(duration: Duration) -> float:
    """A duration in seconds."""
    return duration.ToNanoseconds() / 1e9


def _adapter_of(
    response: infer_pb2.ClassifyResponse
    | infer_pb2.TagTokensResponse
    | infer_pb2.AnswerResponse
    | infer_pb2.EmbedResponse
    | infer_pb2.Analysis,
) -> AdapterRef | None:
    if not response.HasField("adapter"):
        return None
    return AdapterRef(response.adapter.id, response.adapter.revision)


def _timings(message: infer_pb2.Timings) -> Timings:
    return Timings(seconds(message.queue), seconds(message.compute))


def _labels(message: infer_pb2.Classification) -> tuple[LabelScore, ...]:
    return tuple(LabelScore(label.label, label.score) for label in message.labels)


def _classification(message: infer_pb2.Classification) -> Classification:
    return Classification(
        labels=_labels(message),
        logits=tuple(message.logits),
        problem_type=problem_type(message.problem_type),
        num_tokens=message.num_tokens,
        truncated=message.truncated,
    )


def _tag(message: infer_pb2.Tag) -> Tag:
    return Tag(
        label=message.label,
        score=message.score,
        text=message.text,
        index=message.index,
        start=message.start,
        end=message.end,
        alternatives=tuple(LabelScore(label.label, label.score) for label in message.alternatives),
        logits=tuple(message.logits),
    )


def _span(message: infer_pb2.Span) -> Span:
    return Span(message.label, message.score, message.text, message.start, message.end)


def _tagged(message: infer_pb2.TaggedSequence) -> TaggedSequence:
    return TaggedSequence(
        tags=tuple(map(_tag, message.tags)),
        spans=tuple(map(_span, message.spans)),
        num_tokens=message.num_tokens,
        truncated=message.truncated,
    )


def _answer_span(message: infer_pb2.AnswerSpan) -> AnswerSpan:
    return AnswerSpan(message.text, message.score, message.start, message.end, message.no_answer)


def _answer(message: infer_pb2.AnswerResult) -> AnswerResult:
    return AnswerResult(
        answers=tuple(map(_answer_span, message.answers)),
        start_logits=tuple(message.start_logits),
        end_logits=tuple(message.end_logits),
        num_tokens=message.num_tokens,
        truncated=message.truncated,
    )


def _embedding(message: infer_pb2.Embedding) -> Embedding:
    return Embedding(tuple(message.values), message.num_tokens, message.truncated)


def _analysis(message: infer_pb2.Analysis) -> Analysis:
    return Analysis(_adapter_of(message), _task_result(message))


def _task_result(message: infer_pb2.Analysis) -> TaskResult:
    match message.WhichOneof("result"):
        case "classification":
            return _classification(message.classification)
        case "tags":
            return _tagged(message.tags)
        case "answer":
            return _answer(message.answer)
        case "embedding":
            return _embedding(message.embedding)
        case _:
            raise AdapterMuxClientError("the server answered with a kind of result that is newer than this client")


def _tokenized(message: infer_pb2.TokenizedInput) -> TokenizedInput:
    tokens = tuple(Token(token.id, token.text, token.start, token.end, token.special) for token in message.tokens)
    return TokenizedInput(tokens, message.num_excess_tokens)
