"""Messages of the data plane to checked values: pure functions that raise InvalidRequestError naming the field."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_server.adapters.ids import parse_reference
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.tasks.inputs import Input, TextInput, WordsInput
from adaptermux_server.tasks.options import (
    DEFAULT_MAX_ANSWER_TOKENS,
    AnswerOptions,
    ClassifyOptions,
    EmbedOptions,
    Options,
    TagOptions,
)
from adaptermux_server.tasks.service import AnalyzeCall, TaskRequest
from adaptermux_server.types import Pooling, ProblemType

MAX_INPUTS = 1024
MAX_TASKS = 64
MAX_CHARACTERS = 1_000_000
MAX_WORDS = 10_000
MAX_REQUEST_ID_CHARACTERS = 128
ROUTING_KEY = "x-adapter-id"
REQUEST_KEY = "x-request-key"
MAX_REQUEST_KEY_CHARACTERS = 256

_Number = TypeVar("_Number")
_Value = TypeVar("_Value")

PROBLEM_TYPES = {
    types_pb2.PROBLEM_TYPE_UNSPECIFIED: None,
    types_pb2.PROBLEM_TYPE_SINGLE_LABEL: ProblemType.SINGLE_LABEL,
    types_pb2.PROBLEM_TYPE_MULTI_LABEL: ProblemType.MULTI_LABEL,
    types_pb2.PROBLEM_TYPE_REGRESSION: ProblemType.REGRESSION,
}
_POOLINGS = {
    infer_pb2.POOLING_UNSPECIFIED: Pooling.MEAN,
    infer_pb2.POOLING_MEAN: Pooling.MEAN,
    infer_pb2.POOLING_CLS: Pooling.CLS,
    infer_pb2.POOLING_LAST: Pooling.LAST,
    infer_pb2.POOLING_MAX: Pooling.MAX,
}
_SPANS_OF_VIEW = {
    infer_pb2.TAG_VIEW_UNSPECIFIED: False,
    infer_pb2.TAG_VIEW_TAGS: False,
    infer_pb2.TAG_VIEW_SPANS: True,
}


def check_classify(request: infer_pb2.ClassifyRequest) -> AnalyzeCall:
    """Check a Classify request."""
    task = TaskRequest(_adapter(request.adapter), _classify_options(request.options, "options"))
    return AnalyzeCall("Classify", (task,), check_inputs(request.inputs), request.truncate)


def check_tag_tokens(request: infer_pb2.TagTokensRequest) -> AnalyzeCall:
    """Check a TagTokens request."""
    task = TaskRequest(_adapter(request.adapter), _tag_options(request.options, "options"))
    return AnalyzeCall("TagTokens", (task,), check_inputs(request.inputs), request.truncate)


def check_answer(request: infer_pb2.AnswerRequest) -> AnalyzeCall:
    """Check an Answer request."""
    task = TaskRequest(_adapter(request.adapter), _answer_options(request.options, "options"))
    _check_count(len(request.inputs))
    inputs = tuple(_question(item, f"inputs[{index}]") for index, item in enumerate(request.inputs))
    return AnalyzeCall("Answer", (task,), inputs, request.truncate)


def check_embed(request: infer_pb2.EmbedRequest) -> AnalyzeCall:
    """Check an Embed request."""
    task = TaskRequest(_adapter(request.adapter), _embed_options(request.options, "options"))
    return AnalyzeCall("Embed", (task,), check_inputs(request.inputs), request.truncate)


def check_analyze(request: infer_pb2.AnalyzeRequest) -> AnalyzeCall:
    """Check an Analyze request."""
    if not 1 <= len(request.tasks) <= MAX_TASKS:
        raise InvalidRequestError(("tasks", f"are {len(request.tasks)}, allowed are 1 to {MAX_TASKS}"))
    if len(request.tasks) * len(request.inputs) > MAX_INPUTS:
        text = f"tasks × inputs is {len(request.tasks) * len(request.inputs)}, allowed are {MAX_INPUTS}: split the call"
        raise InvalidRequestError(("inputs", text))
    tasks = tuple(_task(task, f"tasks[{index}]") for index, task in enumerate(request.tasks))
    return AnalyzeCall("Analyze", tasks, check_inputs(request.inputs), request.truncate)


def check_request_id(request_id: str, in_use: Iterable[str]) -> str:
    """Check the id of a streamed request."""
    if not 1 <= len(request_id) <= MAX_REQUEST_ID_CHARACTERS:
        raise InvalidRequestError(("request_id", f"must have 1 to {MAX_REQUEST_ID_CHARACTERS} characters"))
    if request_id in in_use:
        raise InvalidRequestError(("request_id", "is in use by an unanswered request of this stream"))
    return request_id


def check_routing(adapters: Sequence[str], metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
    """Check that the routing metadata, where given, names the one adapter of the request."""
    for key, value in metadata or ():
        if key == ROUTING_KEY and (len(set(adapters)) != 1 or value != adapters[0]):
            text = (
                f"is {value!r} but the request names {', '.join(map(repr, dict.fromkeys(adapters)))}: they must agree"
            )
            raise InvalidRequestError((ROUTING_KEY, text))


def with_request_key(call: AnalyzeCall, metadata: Iterable[tuple[str, str | bytes]] | None) -> AnalyzeCall:
    """The call with the request key that its metadata may hold, by which aliases are sticky."""
    keys = [value for key, value in metadata or () if key == REQUEST_KEY]
    if not keys:
        return call
    if len(keys) > 1 or len(keys[0]) > MAX_REQUEST_KEY_CHARACTERS:
        text = f"must stand once, with at most {MAX_REQUEST_KEY_CHARACTERS} characters"
        raise InvalidRequestError((REQUEST_KEY, text))
    return replace(call, request_key=str(keys[0]))


def check_inputs(inputs: Sequence[infer_pb2.Input]) -> tuple[Input, ...]:
    """Check the inputs of any request but Answer."""
    _check_count(len(inputs))
    return tuple(_input(item, f"inputs[{index}]") for index, item in enumerate(inputs))


def _adapter(reference: str, field: str = "adapter") -> str:
    if reference:
        parse_reference(reference, field)
    return reference


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_INPUTS:
        raise InvalidRequestError(("inputs", f"are {count}, allowed are 1 to {MAX_INPUTS}"))


def _input(item: infer_pb2.Input, field: str) -> Input:
    content = item.WhichOneof("content")
    if content == "words":
        if item.text_pair:
            raise InvalidRequestError((f"{field}.text_pair", "stands beside `text` only, not beside `words`"))
        return WordsInput(_words(item.words.words, f"{field}.words"))
    if content is None:
        raise InvalidRequestError((field, "must have `text` or `words`"))
    pair = _text(item.text_pair, f"{field}.text_pair") if item.text_pair else None
    return TextInput(_text(item.text, f"{field}.text"), pair)


def _question(item: infer_pb2.QuestionInput, field: str) -> TextInput:
    return TextInput(_text(item.question, f"{field}.question"), _text(item.context, f"{field}.context"))


def _text(text: str, field: str) -> str:
    if not text:
        raise InvalidRequestError((field, "must not be empty"))
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequestError((field, f"has {len(text)} characters, allowed are {MAX_CHARACTERS}"))
    return text


def _words(words: Sequence[str], field: str) -> tuple[str, ...]:
    if not 1 <= len(words) <= MAX_WORDS:
        raise InvalidRequestError((field, f"are {len(words)} words, allowed are 1 to {MAX_WORDS}"))
    for index, word in enumerate(words):
        _text(word, f"{field}[{index}]")
    return tuple(words)


def _task(task: infer_pb2.AnalyzeTask, field: str) -> TaskRequest:
    adapter = _adapter(task.adapter, f"{field}.adapter")
    kind = task.WhichOneof("options")
    options: Options | None = None
    match kind:
        case "classify":
            options = _classify_options(task.classify, f"{field}.classify")
        case "tag":
            options = _tag_options(task.tag, f"{field}.tag")
        case "answer":
            options = _answer_options(task.answer, f"{field}.answer")
        case "embed":
            options = _embed_options(task.embed, f"{field}.embed")
    return TaskRequest(adapter, options)


def _classify_options(options: infer_pb2.ClassifyOptions, field: str) -> ClassifyOptions:
    return ClassifyOptions(
        top_k=_count(options.top_k, f"{field}.top_k") or None,
        problem_type=_known(options.problem_type, PROBLEM_TYPES, f"{field}.problem_type"),
        return_logits=options.return_logits,
    )


def _tag_options(options: infer_pb2.TagOptions, field: str) -> TagOptions:
    return TagOptions(
        spans=_known(options.view, _SPANS_OF_VIEW, f"{field}.view"),
        num_alternatives=_count(options.top_k, f"{field}.top_k"),
        return_logits=options.return_logits,
    )


def _answer_options(options: infer_pb2.AnswerOptions, field: str) -> AnswerOptions:
    return AnswerOptions(
        top_k=_count(options.top_k, f"{field}.top_k") or 1,
        max_answer_tokens=_count(options.max_answer_tokens, f"{field}.max_answer_tokens") or DEFAULT_MAX_ANSWER_TOKENS,
        allow_no_answer=options.allow_no_answer,
        return_logits=options.return_logits,
    )


def _embed_options(options: infer_pb2.EmbedOptions, field: str) -> EmbedOptions:
    return EmbedOptions(_known(options.pooling, _POOLINGS, f"{field}.pooling"), options.normalize)


def _count(value: int, field: str) -> int:
    if value < 0:
        raise InvalidRequestError((field, f"is {value}, must not be negative; 0 stands for the default"))
    return value


def _known(value: _Number, table: Mapping[_Number, _Value], field: str) -> _Value:
    if value not in table:
        raise InvalidRequestError((field, f"{value} isn't a value of this enum that the server knows"))
    return table[value]
