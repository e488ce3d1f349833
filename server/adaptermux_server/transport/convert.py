"""Results of the data plane to messages, field by field."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf import duration_pb2

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_server.tasks import results
from adaptermux_server.tasks.service import Analyzed, AnsweredBy
from adaptermux_server.tasks.tokenizing import Encoded
from adaptermux_server.types import ModelInfo, ProblemType, Task

_Response = TypeVar("_Response")

TASKS = {
    Task.SEQUENCE_CLASSIFICATION: types_pb2.TASK_SEQUENCE_CLASSIFICATION,
    Task.TOKEN_CLASSIFICATION: types_pb2.TASK_TOKEN_CLASSIFICATION,
    Task.QUESTION_ANSWERING: types_pb2.TASK_QUESTION_ANSWERING,
    Task.FEATURE_EXTRACTION: types_pb2.TASK_FEATURE_EXTRACTION,
}
PROBLEM_TYPES = {
    ProblemType.SINGLE_LABEL: types_pb2.PROBLEM_TYPE_SINGLE_LABEL,
    ProblemType.MULTI_LABEL: types_pb2.PROBLEM_TYPE_MULTI_LABEL,
    ProblemType.REGRESSION: types_pb2.PROBLEM_TYPE_REGRESSION,
}


def classification(result: results.Classification) -> infer_pb2.Classification:
    """Convert one input's labels."""
    return infer_pb2.Classification(
        labels=_labels(result.labels),
        logits=result.logits,
        problem_type=PROBLEM_TYPES[result.problem_type],
        num_tokens=result.num_tokens,
        truncated=result.truncated,
    )


def tagged_sequence(result: results.TaggedSequence) -> infer_pb2.TaggedSequence:
    """Convert one input's tags or spans."""
    return infer_pb2.TaggedSequence(
        tags=[
            infer_pb2.Tag(
                label=tag.label,
                score=tag.score,
                text=tag.text,
                index=tag.index,
                start=tag.start,
                end=tag.end,
                alternatives=_labels(tag.alternatives),
                logits=tag.logits,
            )
            for tag in result.tags
        ],
        spans=[
            infer_pb2.Span(label=span.label, score=span.score, text=span.text, start=span.start, end=span.end)
            for span in result.spans
        ],
        num_tokens=result.num_tokens,
        truncated=result.truncated,
    )


def answer_result(result: results.AnswerResult) -> infer_pb2.AnswerResult:
    """Convert one question's answers."""
    return infer_pb2.AnswerResult(
        answers=[
            infer_pb2.AnswerSpan(
                text=answer.text,
                score=answer.score,
                start=answer.start,
                end=answer.end,
                no_answer=answer.no_answer,
            )
            for answer in result.answers
        ],
        start_logits=result.start_logits,
        end_logits=result.end_logits,
        num_tokens=result.num_tokens,
        truncated=result.truncated,
    )


def embedding(result: results.Embedding) -> infer_pb2.Embedding:
    """Convert one input's vector."""
    return infer_pb2.Embedding(values=result.values, num_tokens=result.num_tokens, truncated=result.truncated)


def analysis(result: results.Result, answered_by: AnsweredBy | None) -> infer_pb2.Analysis:
    """Convert what one task says of one input."""
    adapter = adapter_ref(answered_by)
    match result:
        case results.Classification():
            return infer_pb2.Analysis(adapter=adapter, classification=classification(result))
        case results.TaggedSequence():
            return infer_pb2.Analysis(adapter=adapter, tags=tagged_sequence(result))
        case results.AnswerResult():
            return infer_pb2.Analysis(adapter=adapter, answer=answer_result(result))
        case results.Embedding():
            return infer_pb2.Analysis(adapter=adapter, embedding=embedding(result))


def one_task_response(
    kind: Callable[..., _Response], convert_one: Callable[[Any], Any]
) -> Callable[[Analyzed], _Response]:
    """The conversion of the answer to a call of one task: a response of `kind`, its results made by `convert_one`."""
    return lambda analyzed: kind(
        results=[convert_one(row[0]) for row in analyzed.results],
        adapter=adapter_ref(analyzed.answered_by[0]),
        timings=timings(analyzed),
    )


def analyze_response(analyzed: Analyzed) -> infer_pb2.AnalyzeResponse:
    """Convert the answer to Analyze."""
    return infer_pb2.AnalyzeResponse(
        results=[
            infer_pb2.AnalyzeResult(analyses=map(analysis, row, analyzed.answered_by)) for row in analyzed.results
        ],
        timings=timings(analyzed),
    )


def timings(analyzed: Analyzed) -> infer_pb2.Timings:
    """Convert where the time went."""
    return infer_pb2.Timings(queue=duration(analyzed.queue_seconds), compute=duration(analyzed.compute_seconds))


def adapter_ref(answered_by: AnsweredBy | None) -> types_pb2.AdapterRef | None:
    """Convert who answered; None: the base."""
    return types_pb2.AdapterRef(id=answered_by.id, revision=answered_by.revision) if answered_by else None


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds as a Duration."""
    message = duration_pb2.Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def tokenize_response(encoded: Sequence[Encoded], max_tokens: int) -> infer_pb2.TokenizeResponse:
    """Convert the answer to Tokenize."""
    return infer_pb2.TokenizeResponse(results=[_tokenized(item, max_tokens) for item in encoded], max_tokens=max_tokens)


def model_response(info: ModelInfo, rpcs: Sequence[str]) -> infer_pb2.GetModelResponse:
    """Convert the answer to GetModel."""
    return infer_pb2.GetModelResponse(
        model_id=info.model_id,
        architecture=info.architecture,
        dtype=info.dtype,
        device=info.device,
        hidden_size=info.hidden_size,
        max_tokens=info.max_tokens,
        vocab_size=info.vocab_size,
        num_parameters=info.num_parameters,
        rpcs=rpcs,
        peft_types=info.peft_types,
    )


def _labels(labels: Sequence[results.LabelScore]) -> list[infer_pb2.LabelScore]:
    return [infer_pb2.LabelScore(label=label.label, score=label.score) for label in labels]


def _tokenized(encoded: Encoded, max_tokens: int) -> infer_pb2.TokenizedInput:
    parts = zip(encoded.columns["input_ids"], encoded.tokens, encoded.offsets, encoded.sequence_ids, strict=True)
    return infer_pb2.TokenizedInput(
        tokens=[
            infer_pb2.Token(id=token_id, text=text, start=start, end=end, special=sequence is None)
            for token_id, text, (start, end), sequence in parts
        ],
        num_excess_tokens=max(0, encoded.num_tokens - max_tokens),
    )
