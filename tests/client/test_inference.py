"""Each call of the inference client, blocking and asyncio: what goes over the wire and what comes back."""

import math
from typing import Any

import pytest

from adaptermux.v1 import infer_pb2, types_pb2
from adaptermux_client import (
    AdapterMuxClient,
    AdapterRef,
    Analysis,
    AnalyzeRequest,
    AnswerSpan,
    AnswerTask,
    AsyncAdapterMuxClient,
    Classification,
    ClassifyTask,
    Embedding,
    EmbedTask,
    HealthStatus,
    LabelScore,
    Pooling,
    ProblemType,
    Span,
    Tag,
    TagTask,
    Timings,
    Token,
    TokenizedInput,
    errors,
)
from tests.client.conftest import Ask
from tests.client.fake_answers import REVISION
from tests.client.fake_server import FakeServer

POSITIVE = Classification(
    (LabelScore("positive", 0.75), LabelScore("negative", 0.25)), (), ProblemType.SINGLE_LABEL, 4, False
)


async def test_classify_gives_one_classification_for_each_input(ask: Ask) -> None:
    """Results come in order, with who answered and where the time went."""
    results = await ask("classify", "sentiment", ["good film", "bad film", ("is it", "good")])

    assert results[0] == POSITIVE
    assert ["positive", "negative", "positive"] == [each.best.label for each in results]
    assert results.adapter == AdapterRef("sentiment", REVISION)
    assert results.timings == Timings(queue_seconds=0.002, compute_seconds=0.009)


async def test_a_lone_text_is_one_input(ask: Ask) -> None:
    """A `str` is never taken for a sequence of letters."""
    results = await ask("classify", "sentiment", "good film")

    assert list(results) == [POSITIVE]
    assert results[0].scores == {"positive": 0.75, "negative": 0.25}


async def test_classify_sends_its_options(ask: Ask, server: FakeServer) -> None:
    """Each keyword reaches its field."""
    results = await ask(
        "classify",
        "sentiment",
        [("a", "b")],
        top_k=1,
        problem_type=ProblemType.MULTI_LABEL,
        return_logits=True,
        truncate=True,
    )

    assert server.script.requests == [
        infer_pb2.ClassifyRequest(
            adapter="sentiment",
            inputs=[infer_pb2.Input(text="a", text_pair="b")],
            options=infer_pb2.ClassifyOptions(
                top_k=1, problem_type=types_pb2.PROBLEM_TYPE_MULTI_LABEL, return_logits=True
            ),
            truncate=True,
        )
    ]
    assert (results[0].problem_type, results[0].logits) == (ProblemType.MULTI_LABEL, (-0.5, 0.5))


async def test_tag_gives_a_tag_for_each_word(ask: Ask, server: FakeServer) -> None:
    """A list of words is one input."""
    results = await ask("tag", "pos", [["The", "film"]], top_k=1)

    assert results[0].labels == ("DET", "NOUN")
    assert results[0].tags[1] == Tag("NOUN", 0.875, "film", 1, 0, 0, (LabelScore("NOUN", 0.875),), ())
    assert server.script.requests[0].inputs[0].words.words == ["The", "film"]  # type: ignore[attr-defined]


async def test_tag_gives_spans_where_asked(ask: Ask) -> None:
    """`spans` switches the view."""
    results = await ask("tag", "ner", "The film", spans=True)

    assert results[0].spans == (Span("all", 0.5, "The film", 0, 8),)
    assert results[0].tags == ()


@pytest.mark.parametrize("questions", [("Who?", "Ada wrote it"), [("Who?", "Ada wrote it")]])
async def test_answer_takes_one_question_or_several(ask: Ask, questions: Any) -> None:
    """A lone (question, context) needs no list around it."""
    results = await ask("answer", "qa", questions, allow_no_answer=True)

    assert results[0].best == AnswerSpan("Ada", 0.625, 0, 3, no_answer=False)
    assert results[0].answers[1].no_answer


async def test_embed_asks_the_base_model_unless_told_otherwise(ask: Ask, server: FakeServer) -> None:
    """Without an adapter none is named in the answer either."""
    results = await ask("embed", "hello", pooling=Pooling.CLS, normalize=True)

    assert results.adapter is None
    assert results[0] == Embedding((0.5, -0.25, 0.0, 5.0), 3, False)
    assert server.script.requests[0].options == infer_pb2.EmbedOptions(  # type: ignore[attr-defined]
        pooling=infer_pb2.POOLING_CLS, normalize=True
    )


async def test_analyze_asks_all_tasks_about_all_inputs(ask: Ask, server: FakeServer) -> None:
    """Ids and tasks with options may be mixed; each kind of result is of its own class."""
    tasks = ["sentiment", ClassifyTask("topic", top_k=1), TagTask("pos"), AnswerTask("qa"), EmbedTask()]

    results = await ask("analyze", tasks, [("good film", "indeed")], truncate=True)

    assert results[0].analyses[0] == Analysis(AdapterRef("sentiment", REVISION), POSITIVE)
    assert len(results[0]["topic"].labels) == 1
    assert results[0]["pos"].labels == ("ADJ", "NOUN")
    assert results[0]["qa"].best.text == "indeed"
    assert results[0][""].values[0] == 0.5
    kinds = [task.WhichOneof("options") for task in server.script.requests[0].tasks]  # type: ignore[attr-defined]
    assert server.script.requests[0].truncate  # type: ignore[attr-defined]
    assert kinds == [None, "classify", "tag", "answer", "embed"]


async def test_an_analysis_of_an_adapter_that_was_not_asked_is_a_key_error(ask: Ask) -> None:
    """Looking up what isn't there says what was looked up."""
    results = await ask("analyze", ["sentiment"], "good")

    with pytest.raises(KeyError, match="topic"):
        results[0]["topic"]


async def test_stream_analyze_numbers_requests_and_keeps_errors_apart(ask: Ask) -> None:
    """A request that fails has its error; the others have their results."""
    requests = [AnalyzeRequest([name], "good film") for name in ("sentiment", "unknown", "sentiment")]

    outcomes = {outcome.index: outcome for outcome in await ask("stream_analyze", requests)}

    assert sorted(outcomes) == [0, 1, 2]
    assert outcomes[2].unwrap()[0]["sentiment"] == POSITIVE
    with pytest.raises(errors.AdapterNotFoundError, match="did you mean sentiment"):
        outcomes[1].unwrap()


async def test_tokenize_gives_tokens_and_the_limit(ask: Ask) -> None:
    """Counts need no forward."""
    results = await ask("tokenize", "Hi")

    assert results.max_tokens == 512
    assert results[0] == TokenizedInput((Token(101, "[CLS]", 0, 0, True), Token(1000, "hi", 0, 2, False)), 0)


async def test_model_describes_the_base(ask: Ask) -> None:
    """All fields are plain values."""
    model = await ask("model")

    assert (model.model_id, model.hidden_size, model.peft_types) == ("all-MiniLM-L6-v2", 384, ("LORA", "IA3"))


async def test_health_is_asked_without_the_health_package(ask: Ask) -> None:
    """The wire format is that of grpc.health.v1; a service that the server doesn't know is NOT_FOUND."""
    assert await ask("health") is HealthStatus.SERVING
    with pytest.raises(errors.NotFoundError):
        await ask("health", "no.such.Service")


@pytest.mark.parametrize(
    ("method", "arguments", "header"),
    [
        ("classify", ("sentiment@3fa9c1d2", "x"), "sentiment@3fa9c1d2"),
        ("tag", ("pos", "x"), "pos"),
        ("answer", ("qa", ("x", "y")), "qa"),
        ("embed", ("x",), None),
        ("classify", ("gefühl", "x"), None),
        ("analyze", (["a", "b"], "x"), None),
    ],
)
async def test_the_adapter_is_sent_as_metadata_for_proxies(
    ask: Ask, server: FakeServer, method: str, arguments: tuple[Any, ...], header: str | None
) -> None:
    """Also an id that no header can carry reaches the server, which then refuses it with a reason."""
    await ask(method, *arguments)

    assert server.script.metadata[0].get("x-adapter-id") == header


@pytest.mark.parametrize(
    ("of_client", "of_call", "low", "high"),
    [(30.0, None, 20, 31), (30.0, 5.0, 1, 6), (None, None, math.inf, math.inf), (30.0, math.inf, math.inf, math.inf)],
)
async def test_the_timeout_is_the_calls_else_the_clients(  # noqa: PLR0917
    ask: Ask, server: FakeServer, of_client: float | None, of_call: float | None, low: float, high: float
) -> None:
    """The deadline travels to the server; infinity and None at the client mean that there is none."""
    await ask("model", client_timeout=of_client, timeout=of_call)

    remaining = server.script.time_remaining[0]
    # gRPC's C core reports a call without a deadline as one of centuries.
    assert low <= (math.inf if remaining is None or remaining > 1e9 else remaining) <= high


def test_an_input_of_another_type_is_a_type_error() -> None:
    """What can't be meant is refused before anything is sent."""
    with AdapterMuxClient() as client, pytest.raises(TypeError, match="an input is a str"):
        client.classify("sentiment", [3])  # type: ignore[list-item]


async def test_the_raw_stub_stays_in_reach(server: FakeServer) -> None:
    """What the client doesn't wrap can still be called."""
    request = infer_pb2.GetModelRequest()

    with AdapterMuxClient(server.address) as client:
        assert client.stub.GetModel(request).hidden_size == 384
    async with AsyncAdapterMuxClient(server.address) as aclient:
        assert (await aclient.stub.GetModel(request)).hidden_size == 384
