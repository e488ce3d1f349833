"""One way to ask any adapter what its head computes, and to ask several in one call."""

from collections.abc import Sequence
from typing import Any

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_server.types import Task
from tests.e2e.expected import PAIRS, TEXTS, Expected
from tests.e2e.harness import Harness

_CLASSIFY = infer_pb2.ClassifyOptions(return_logits=True)
_TAG = infer_pb2.TagOptions(return_logits=True)
_ANSWER = infer_pb2.AnswerOptions(return_logits=True)


async def ask(
    harness: Harness, adapter: str, task: Task, indices: Sequence[int]
) -> tuple[types_pb2.AdapterRef, Sequence[Any]]:
    """Ask `adapter` about these of its inputs by the RPC of its task; returns who answered, and the results."""
    response: Any
    inputs = [infer_pb2.Input(text=TEXTS[index]) for index in indices if task is not Task.QUESTION_ANSWERING]
    match task:
        case Task.SEQUENCE_CLASSIFICATION:
            classify = infer_pb2.ClassifyRequest(adapter=adapter, inputs=inputs, options=_CLASSIFY)
            response = await harness.infer.Classify(classify)
        case Task.TOKEN_CLASSIFICATION:
            tag = infer_pb2.TagTokensRequest(adapter=adapter, inputs=inputs, options=_TAG)
            response = await harness.infer.TagTokens(tag)
        case Task.QUESTION_ANSWERING:
            pairs = [infer_pb2.QuestionInput(question=PAIRS[i][0], context=PAIRS[i][1]) for i in indices]
            answer = infer_pb2.AnswerRequest(adapter=adapter, inputs=pairs, options=_ANSWER)
            response = await harness.infer.Answer(answer)
        case Task.FEATURE_EXTRACTION:
            response = await harness.infer.Embed(infer_pb2.EmbedRequest(adapter=adapter, inputs=inputs))
    return response.adapter, response.results


def analyze_request(expected: Sequence[tuple[str, Expected]], indices: Sequence[int]) -> infer_pb2.AnalyzeRequest:
    """Ask every adapter (id, what it answers), none of them for question answering, about each of these texts."""
    tasks = [_task(adapter, each.task) for adapter, each in expected]
    return infer_pb2.AnalyzeRequest(tasks=tasks, inputs=[infer_pb2.Input(text=TEXTS[index]) for index in indices])


def assert_analyzed(
    response: infer_pb2.AnalyzeResponse, expected: Sequence[tuple[str, Expected]], indices: Sequence[int]
) -> None:
    """Assert that `response` has each adapter's answer to each text, in the order of the request."""
    assert len(indices) == len(response.results)
    for index, result in zip(indices, response.results, strict=True):
        assert [adapter for adapter, _ in expected] == [analysis.adapter.id for analysis in result.analyses]
        for (_, each), analysis in zip(expected, result.analyses, strict=True):
            each.assert_answered(index, getattr(analysis, str(analysis.WhichOneof("result"))))


def _task(adapter: str, task: Task) -> infer_pb2.AnalyzeTask:
    match task:
        case Task.SEQUENCE_CLASSIFICATION:
            return infer_pb2.AnalyzeTask(adapter=adapter, classify=_CLASSIFY)
        case Task.TOKEN_CLASSIFICATION:
            return infer_pb2.AnalyzeTask(adapter=adapter, tag=_TAG)
        case Task.FEATURE_EXTRACTION:
            return infer_pb2.AnalyzeTask(adapter=adapter, embed=infer_pb2.EmbedOptions())
        case Task.QUESTION_ANSWERING:
            raise AssertionError("its inputs are pairs")
