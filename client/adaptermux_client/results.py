"""What the calls of `Infer` return: plain frozen values. Scores, offsets and counts mean what infer.proto says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar, overload

from adaptermux_client.errors import AdapterMuxClientError

T_co = TypeVar("T_co", covariant=True)


class Task(StrEnum):
    """What an adapter's head computes, and so which call serves it."""

    UNSPECIFIED = "UNSPECIFIED"
    """Not known, or newer than this client."""
    SEQUENCE_CLASSIFICATION = "SEQUENCE_CLASSIFICATION"
    TOKEN_CLASSIFICATION = "TOKEN_CLASSIFICATION"
    QUESTION_ANSWERING = "QUESTION_ANSWERING"
    FEATURE_EXTRACTION = "FEATURE_EXTRACTION"


class ProblemType(StrEnum):
    """How the logits of sequence classification become scores."""

    UNSPECIFIED = "UNSPECIFIED"
    """In a request: as the adapter says."""
    SINGLE_LABEL = "SINGLE_LABEL"
    """Softmax: exactly one label holds."""
    MULTI_LABEL = "MULTI_LABEL"
    """Sigmoid: any number of labels holds."""
    REGRESSION = "REGRESSION"
    """The logits themselves, in the unit that the adapter was trained on."""


class Pooling(StrEnum):
    """How the hidden states of a text become one vector."""

    MEAN = "MEAN"
    CLS = "CLS"
    LAST = "LAST"
    MAX = "MAX"


class HealthStatus(StrEnum):
    """What a server says of itself (grpc.health.v1)."""

    UNKNOWN = "UNKNOWN"
    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    SERVICE_UNKNOWN = "SERVICE_UNKNOWN"


@dataclass(frozen=True, slots=True)
class AdapterRef:
    """Which adapter answered, and which content of it (hex sha-256)."""

    id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a call went, in seconds: the longest wait of its rows, and its batches added up."""

    queue_seconds: float
    compute_seconds: float


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label with its score: a probability, or for regression the value itself."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one input, best first (for regression: in the order of the outputs)."""

    labels: tuple[LabelScore, ...]
    logits: tuple[float, ...]
    """In the order of the adapter's labels; empty unless asked for."""
    problem_type: ProblemType
    num_tokens: int
    truncated: bool

    @property
    def best(self) -> LabelScore:
        """The first label: of the highest score, or for regression the first output."""
        return self.labels[0]

    @property
    def scores(self) -> dict[str, float]:
        """Scores by label, in the order of `labels`."""
        return {label.label: label.score for label in self.labels}


@dataclass(frozen=True, slots=True)
class Tag:
    """The tag of one word or token. `start` and `end` are code points of a text; for word inputs both are 0."""

    label: str
    score: float
    text: str
    index: int
    start: int
    end: int
    alternatives: tuple[LabelScore, ...]
    """The `top_k` best labels, this tag's own first; empty unless asked for."""
    logits: tuple[float, ...]
    """Empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled stretch: `start` and `end` are code points of a text, or word positions of a word input."""

    label: str
    score: float
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TaggedSequence:
    """Tags of one input, or its spans where those were asked for."""

    tags: tuple[Tag, ...]
    spans: tuple[Span, ...]
    num_tokens: int
    truncated: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each tag, in order."""
        return tuple(tag.label for tag in self.tags)


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """One answer: `context[start:end]`; or "no answer", with an empty text."""

    text: str
    score: float
    start: int
    end: int
    no_answer: bool


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """The answers to one question, best first; none only where the context has no token."""

    answers: tuple[AnswerSpan, ...]
    start_logits: tuple[float, ...]
    """For each token, special ones included; empty unless asked for."""
    end_logits: tuple[float, ...]
    num_tokens: int
    truncated: bool

    @property
    def best(self) -> AnswerSpan:
        """The first answer."""
        return self.answers[0]


@dataclass(frozen=True, slots=True)
class Embedding:
    """The vector of one input; as long as the model's hidden size."""

    values: tuple[float, ...]
    num_tokens: int
    truncated: bool


TaskResult = Classification | TaggedSequence | AnswerResult | Embedding
"""What one task of `analyze` gives: tell them apart with `match` or `isinstance`."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one task says of one input."""

    adapter: AdapterRef | None
    """None: the base model."""
    result: TaskResult


@dataclass(frozen=True, slots=True)
class InputAnalysis:
    """What all tasks say of one input, in the order of the tasks."""

    analyses: tuple[Analysis, ...]

    def __getitem__(self, adapter_id: str) -> TaskResult:
        """The result of the first task that named this adapter ("" is the base model). Raises KeyError if none did."""
        for analysis in self.analyses:
            if adapter_id == (analysis.adapter.id if analysis.adapter else ""):
                return analysis.result
        raise KeyError(adapter_id)


class _ResultSequence(Sequence[T_co], Generic[T_co]):
    """One result for each input, in the order of the inputs."""

    __slots__ = ()
    results: tuple[T_co, ...]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.results)

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...
    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        return self.results[index]


@dataclass(frozen=True, slots=True)
class Results(_ResultSequence[T_co]):
    """The answer of a call: a sequence with one result for each input, and who gave it in what time."""

    results: tuple[T_co, ...]
    adapter: AdapterRef | None
    """None: the base model, or (of `analyze`) see each `Analysis`."""
    timings: Timings


@dataclass(frozen=True, slots=True)
class StreamedAnalysis:
    """The outcome of one request of a stream: either its results or its error."""

    index: int
    """Which request, counted from 0 in the order in which they were given."""
    results: Results[InputAnalysis] | None
    error: AdapterMuxClientError | None

    def unwrap(self) -> Results[InputAnalysis]:
        """The results. Raises the error if the request failed."""
        if self.results is None:
            raise self.error or AdapterMuxClientError("the server's response has neither an answer nor an error")
        return self.results


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `end` are code points of its text or word, both 0 for special tokens."""

    id: int
    text: str
    start: int
    end: int
    special: bool


@dataclass(frozen=True, slots=True)
class TokenizedInput:
    """All tokens of one input, and how many of them `truncate` would cut."""

    tokens: tuple[Token, ...]
    num_excess_tokens: int


@dataclass(frozen=True, slots=True)
class Tokenization(_ResultSequence[TokenizedInput]):
    """The tokens of each input, and the most that the model takes."""

    results: tuple[TokenizedInput, ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The base model and what the server serves with it."""

    model_id: str
    architecture: str
    dtype: str
    device: str
    hidden_size: int
    max_tokens: int
    vocab_size: int
    num_parameters: int
    rpcs: tuple[str, ...]
    peft_types: tuple[str, ...]
