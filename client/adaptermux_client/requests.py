"""From what callers write to request messages: pure, shared by the sync and the asyncio clients.

One input is a text (`str`), a pair of texts (`tuple` of two `str`), or ready-made words (`list` of `str`).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.duration_pb2 import Duration

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_client.results import Pooling, ProblemType

Input: TypeAlias = str | tuple[str, str] | list[str]
"""A text, a (text, text pair), or words."""

Inputs: TypeAlias = str | Iterable[Input]
"""One text, or any number of inputs. A single pair or list of words is put in a list: `[("a", "b")]`."""

Question: TypeAlias = tuple[str, str]
"""(question, context)"""


@dataclass(frozen=True, slots=True)
class ClassifyTask:
    """Ask `adapter` for labels. `top_k`: 0 gives all; `problem_type`: UNSPECIFIED is as the adapter says."""

    adapter: str
    top_k: int = 0
    problem_type: ProblemType = ProblemType.UNSPECIFIED
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class TagTask:
    """Ask `adapter` for tags, or for `spans` merged from them. `top_k`: alternatives for each tag, 0 gives none."""

    adapter: str
    spans: bool = False
    top_k: int = 0
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class AnswerTask:
    """Ask `adapter` for answers; each input is then a pair (question, context)."""

    adapter: str
    top_k: int = 1
    max_answer_tokens: int = 30
    allow_no_answer: bool = False
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class EmbedTask:
    """Ask `adapter` (empty: the base model) for one vector."""

    adapter: str = ""
    pooling: Pooling = Pooling.MEAN
    normalize: bool = False


AnalyzeTask: TypeAlias = ClassifyTask | TagTask | AnswerTask | EmbedTask | str
"""A task with options, or an adapter's id alone: what its own task is, with default options."""


@dataclass(frozen=True, slots=True)
class AnalyzeRequest:
    """One request of a stream: what `analyze` takes."""

    tasks: Iterable[AnalyzeTask]
    inputs: Inputs
    truncate: bool = False

    def to_message(self) -> infer_pb2.AnalyzeRequest:
        """The message that the server gets."""
        tasks = [self.tasks] if isinstance(self.tasks, str) else self.tasks
        return infer_pb2.AnalyzeRequest(
            tasks=[task_message(task) for task in tasks],
            inputs=input_messages(self.inputs),
            truncate=self.truncate,
        )


def input_messages(inputs: Inputs) -> list[infer_pb2.Input]:
    """The messages of one text or of several inputs. Raises TypeError for anything else."""
    if isinstance(inputs, str):
        return [infer_pb2.Input(text=inputs)]
    return [_input_message(each) for each in inputs]


def _input_message(each: Input) -> infer_pb2.Input:
    match each:
        case str():
            return infer_pb2.Input(text=each)
        case (str(text), str(pair)) if isinstance(each, tuple):
            return infer_pb2.Input(text=text, text_pair=pair)
        case list():
            return infer_pb2.Input(words=infer_pb2.Words(words=each))
        case _:
            raise TypeError(f"an input is a str, a (str, str) tuple or a list of words, not {each!r:.100}")


def question_messages(questions: Question | Iterable[Question]) -> list[infer_pb2.QuestionInput]:
    """The messages of one (question, context) or of several."""
    match questions:
        case (str(question), str(context)):
            return [infer_pb2.QuestionInput(question=question, context=context)]
        case _:
            return [infer_pb2.QuestionInput(question=each[0], context=each[1]) for each in questions]


def task_message(task: AnalyzeTask) -> infer_pb2.AnalyzeTask:
    """The message of one task of `analyze`."""
    match task:
        case str():
            return infer_pb2.AnalyzeTask(adapter=task)
        case ClassifyTask():
            return infer_pb2.AnalyzeTask(adapter=task.adapter, classify=classify_options(task))
        case TagTask():
            return infer_pb2.AnalyzeTask(adapter=task.adapter, tag=tag_options(task))
        case AnswerTask():
            return infer_pb2.AnalyzeTask(adapter=task.adapter, answer=answer_options(task))
        case EmbedTask():
            return infer_pb2.AnalyzeTask(adapter=task.adapter, embed=embed_options(task))


def classify_options(task: ClassifyTask) -> infer_pb2.ClassifyOptions:
    """The options of `Classify`."""
    return infer_pb2.ClassifyOptions(
        top_k=task.top_k, problem_type=problem_type_value(task.problem_type), return_logits=task.return_logits
    )


def tag_options(task: TagTask) -> infer_pb2.TagOptions:
    """The options of `TagTokens`."""
    view = infer_pb2.TAG_VIEW_SPANS if task.spans else infer_pb2.TAG_VIEW_TAGS
    return infer_pb2.TagOptions(view=view, top_k=task.top_k, return_logits=task.return_logits)


def answer_options(task: AnswerTask) -> infer_pb2.AnswerOptions:
    """The options of `Answer`."""
    return infer_pb2.AnswerOptions(
        top_k=task.top_k,
        max_answer_tokens=task.max_answer_tokens,
        allow_no_answer=task.allow_no_answer,
        return_logits=task.return_logits,
    )


def embed_options(task: EmbedTask) -> infer_pb2.EmbedOptions:
    """The options of `Embed`."""
    return infer_pb2.EmbedOptions(pooling=infer_pb2.Pooling.Value(f"POOLING_{task.pooling}"), normalize=task.normalize)


def problem_type_value(problem_type: ProblemType) -> types_pb2.ProblemType.ValueType:
    """The message's value of a problem type."""
    return types_pb2.ProblemType.Value(f"PROBLEM_TYPE_{problem_type}")


def duration(seconds: float | None) -> Duration | None:
    """A duration message; None stays absent."""
    if seconds is None:
        return None
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def source_uri(source: str | os.PathLike[str]) -> str:
    """A text as it is; a path object made absolute on this machine."""
    return source if isinstance(source, str) else os.path.abspath(source)
