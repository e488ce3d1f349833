"""What a caller may ask of an adapter, and which kind of task each ask belongs to."""

from dataclasses import dataclass

from adaptermux_server.types import Pooling, ProblemType, Task

DEFAULT_MAX_ANSWER_TOKENS = 30


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """Of sequence classification. `top_k` None: all labels; `problem_type` None: as the adapter says."""

    top_k: int | None = None
    problem_type: ProblemType | None = None
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class TagOptions:
    """Of token classification. `num_alternatives`: labels to return for each tag."""

    spans: bool = False
    num_alternatives: int = 0
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Of question answering."""

    top_k: int = 1
    max_answer_tokens: int = DEFAULT_MAX_ANSWER_TOKENS
    allow_no_answer: bool = False
    return_logits: bool = False


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """Of hidden states, with or without an adapter."""

    pooling: Pooling = Pooling.MEAN
    normalize: bool = False


Options = ClassifyOptions | TagOptions | AnswerOptions | EmbedOptions

DEFAULT_OPTIONS: dict[Task, Options] = {
    Task.SEQUENCE_CLASSIFICATION: ClassifyOptions(),
    Task.TOKEN_CLASSIFICATION: TagOptions(),
    Task.QUESTION_ANSWERING: AnswerOptions(),
    Task.FEATURE_EXTRACTION: EmbedOptions(),
}

RPC_OF_TASK = {
    Task.SEQUENCE_CLASSIFICATION: "Classify",
    Task.TOKEN_CLASSIFICATION: "TagTokens",
    Task.QUESTION_ANSWERING: "Answer",
    Task.FEATURE_EXTRACTION: "Embed",
}


def fits(options: Options, task: Task) -> bool:
    """Whether an adapter of `task` can be asked for this; any adapter can be asked for its hidden states."""
    return isinstance(options, EmbedOptions) or type(options) is type(DEFAULT_OPTIONS[task])
