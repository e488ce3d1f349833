"""Answers as values; `transport` turns them into messages, field by field."""

from dataclasses import dataclass

from adaptermux_server.types import ProblemType


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label with its probability, or with its value for regression."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels of one input, best first; for regression in the order of the outputs."""

    labels: tuple[LabelScore, ...]
    logits: tuple[float, ...]
    problem_type: ProblemType
    num_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Tag:
    """The tag of one word, or of one token of a text; offsets count code points (words: both 0)."""

    label: str
    score: float
    text: str
    index: int
    start: int
    end: int
    alternatives: tuple[LabelScore, ...]
    logits: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch: code points of a text, or word positions; the end is exclusive."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TaggedSequence:
    """Tags or spans of one input."""

    tags: tuple[Tag, ...]
    spans: tuple[Span, ...]
    num_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """One answer: code points of the context, end exclusive; both 0 for "no answer"."""

    text: str
    score: float
    start: int
    end: int
    no_answer: bool


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """Answers to one question, best first; logits count special tokens too."""

    answers: tuple[AnswerSpan, ...]
    start_logits: tuple[float, ...]
    end_logits: tuple[float, ...]
    num_tokens: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of one input."""

    values: tuple[float, ...]
    num_tokens: int
    truncated: bool


Result = Classification | TaggedSequence | AnswerResult | Embedding
