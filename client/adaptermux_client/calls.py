"""The calls of `Infer` as values: how each request is built and its response read, without any I/O.

The clients turn each function here into a method of the same signature. `timeout` is in seconds and includes retries:
None is the client's own, `math.inf` is none at all.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from google.protobuf.message import Message

from adaptermux.v1 import infer_pb2
from adaptermux_client import convert
from adaptermux_client.requests import (
    AnalyzeRequest,
    AnalyzeTask,
    AnswerTask,
    ClassifyTask,
    EmbedTask,
    Inputs,
    Question,
    TagTask,
    answer_options,
    classify_options,
    embed_options,
    input_messages,
    question_messages,
    tag_options,
)
from adaptermux_client.results import (
    AnswerResult,
    Classification,
    Embedding,
    InputAnalysis,
    ModelInfo,
    Pooling,
    ProblemType,
    Results,
    TaggedSequence,
    Tokenization,
)

Out = TypeVar("Out")

_ROUTABLE = re.compile(r"[!-~]+")
_KEY = re.compile(r"[!-~]{0,256}")


@dataclass(frozen=True, slots=True)
class Call(Generic[Out]):
    """One unary call, ready to be made by either client."""

    rpc: str
    """The name of the stub's method."""
    request: Message
    parse: Callable[[Any], Out]
    timeout: float | None
    adapter: str = ""
    request_key: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """`x-adapter-id`, so that proxies can route by it, but for ids that no header can carry; `x-request-key`."""
        by_adapter = (("x-adapter-id", self.adapter),) if _ROUTABLE.fullmatch(self.adapter) else ()
        return (*by_adapter, *key_metadata(self.request_key))


def classify(
    adapter: str,
    inputs: Inputs,
    *,
    top_k: int = 0,
    problem_type: ProblemType = ProblemType.UNSPECIFIED,
    return_logits: bool = False,
    truncate: bool = False,
    request_key: str = "",
    timeout: float | None = None,
) -> Call[Results[Classification]]:
    """Classify texts or pairs of texts: one `Classification` for each input, in order.

    Args:
        adapter: an adapter's id, "id@revision-prefix", or an alias.
        inputs: one text, or an iterable of texts, (text, text pair) tuples and lists of words.
        top_k: how many labels to return, best first; 0 gives all.
        problem_type: softmax, sigmoid or plain values; UNSPECIFIED is as the adapter says.
        return_logits: whether to return the raw logits too.
        truncate: whether to cut inputs that are too long rather than to fail.
        request_key: where an alias has several targets, equal keys go to the same one; at most 256 printable ASCII
            characters, no blanks. Empty: to any of them.
        timeout: seconds, retries included; None is the client's own, `math.inf` none at all.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
        ValueError: `request_key` has a character that can't be sent.
    """
    options = classify_options(ClassifyTask(adapter, top_k, problem_type, return_logits))
    request = infer_pb2.ClassifyRequest(
        adapter=adapter, inputs=input_messages(inputs), options=options, truncate=truncate
    )
    return Call("Classify", request, convert.classify_results, timeout, adapter, request_key)


def tag(
    adapter: str,
    inputs: Inputs,
    *,
    spans: bool = False,
    top_k: int = 0,
    return_logits: bool = False,
    truncate: bool = False,
    request_key: str = "",
    timeout: float | None = None,
) -> Call[Results[TaggedSequence]]:
    """Tag the words or tokens of inputs, or find `spans` (entities, chunks): one `TaggedSequence` for each input.

    Args:
        adapter: an adapter's id, "id@revision-prefix", or an alias.
        inputs: one text, or an iterable of texts (a tag for each token) and lists of words (a tag for each word).
        spans: whether to merge the tags into labelled spans.
        top_k: how many alternatives each tag carries, best first; 0 gives none.
        return_logits: whether each tag carries its raw logits.
        truncate: whether to cut inputs that are too long rather than to fail.
        request_key: see `classify`.
        timeout: see `classify`.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    options = tag_options(TagTask(adapter, spans, top_k, return_logits))
    request = infer_pb2.TagTokensRequest(
        adapter=adapter, inputs=input_messages(inputs), options=options, truncate=truncate
    )
    return Call("TagTokens", request, convert.tag_results, timeout, adapter, request_key)


def answer(
    adapter: str,
    questions: Question | Iterable[Question],
    *,
    top_k: int = 1,
    max_answer_tokens: int = 30,
    allow_no_answer: bool = False,
    return_logits: bool = False,
    truncate: bool = False,
    request_key: str = "",
    timeout: float | None = None,
) -> Call[Results[AnswerResult]]:
    """Answer questions by spans of their contexts: one `AnswerResult` for each question, in order.

    Args:
        adapter: an adapter's id, "id@revision-prefix", or an alias.
        questions: one (question, context), or an iterable of them.
        top_k: how many answers to each question, best first.
        max_answer_tokens: the longest answer, in tokens.
        allow_no_answer: whether "the context holds no answer" may be among the answers.
        return_logits: whether to return the raw start and end logits.
        truncate: whether to cut contexts that are too long, at their end, rather than to fail.
        request_key: see `classify`.
        timeout: see `classify`.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    options = answer_options(AnswerTask(adapter, top_k, max_answer_tokens, allow_no_answer, return_logits))
    request = infer_pb2.AnswerRequest(
        adapter=adapter, inputs=question_messages(questions), options=options, truncate=truncate
    )
    return Call("Answer", request, convert.answer_results, timeout, adapter, request_key)


def embed(
    inputs: Inputs,
    *,
    adapter: str = "",
    pooling: Pooling = Pooling.MEAN,
    normalize: bool = False,
    truncate: bool = False,
    request_key: str = "",
    timeout: float | None = None,
) -> Call[Results[Embedding]]:
    """Turn each input into one vector of the model's hidden size.

    Args:
        inputs: one text, or an iterable of texts, (text, text pair) tuples and lists of words.
        adapter: an adapter's id, "id@revision-prefix", or an alias; empty is the base model.
        pooling: how the hidden states of an input become one vector.
        normalize: whether to scale each vector to Euclidean length 1.
        truncate: whether to cut inputs that are too long rather than to fail.
        request_key: see `classify`.
        timeout: see `classify`.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    options = embed_options(EmbedTask(adapter, pooling, normalize))
    request = infer_pb2.EmbedRequest(adapter=adapter, inputs=input_messages(inputs), options=options, truncate=truncate)
    return Call("Embed", request, convert.embed_results, timeout, adapter, request_key)


def analyze(
    tasks: Iterable[AnalyzeTask],
    inputs: Inputs,
    *,
    truncate: bool = False,
    request_key: str = "",
    timeout: float | None = None,
) -> Call[Results[InputAnalysis]]:
    """Ask several adapters about several inputs in one call: every input goes to every task.

    Args:
        tasks: adapters' ids, or tasks with options (`ClassifyTask`, `TagTask`, `AnswerTask`, `EmbedTask`).
        inputs: as for `classify`; for question answering, (question, context) pairs.
        truncate: whether to cut inputs that are too long rather than to fail.
        request_key: see `classify`.
        timeout: see `classify`.

    Raises:
        AdapterMuxClientError: of the first task that can't be served; the call fails as a whole.
    """
    request = AnalyzeRequest(tasks, inputs, truncate).to_message()
    return Call("Analyze", request, convert.analyze_results, timeout, request_key=request_key)


def tokenize(inputs: Inputs, *, timeout: float | None = None) -> Call[Tokenization]:
    """Tokenise inputs as the other calls would, without a forward: to count tokens, or to see what would be cut.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    return Call("Tokenize", infer_pb2.TokenizeRequest(inputs=input_messages(inputs)), convert.tokenization, timeout)


def model(*, timeout: float | None = None) -> Call[ModelInfo]:
    """Describe the base model and what the server serves with it.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    return Call("GetModel", infer_pb2.GetModelRequest(), convert.model_info, timeout)


def key_metadata(request_key: str) -> tuple[tuple[str, str], ...]:
    """What sends a request key. Raises ValueError where no header can carry it: without it, requests would scatter."""
    if not _KEY.fullmatch(request_key):
        raise ValueError("request_key must be at most 256 printable ASCII characters without blanks")
    return (("x-request-key", request_key),) if request_key else ()


def method_signature(build: Callable[..., Call[Any]]) -> inspect.Signature:
    """The signature of the client's method that makes the calls which `build` describes, as `help()` shows it."""
    signature = inspect.signature(build)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    (result,) = get_args(signature.return_annotation)
    return signature.replace(parameters=[itself, *signature.parameters.values()], return_annotation=result)


def grpc_timeout(timeout: float | None, default: float | None) -> float | None:
    """What gRPC is given: None is no deadline there, and the client's default here."""
    chosen = default if timeout is None else timeout
    return None if chosen is None or math.isinf(chosen) else chosen
