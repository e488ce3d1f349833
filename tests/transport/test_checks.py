"""Requests that are refused before anything else happens, with the field that was wrong."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux.v1 import infer_pb2
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.tasks.inputs import TextInput, WordsInput
from adaptermux_server.tasks.options import AnswerOptions, ClassifyOptions, EmbedOptions, TagOptions
from adaptermux_server.transport import checks
from adaptermux_server.types import Pooling, ProblemType

A = infer_pb2.Input(text="a")
WORDS = infer_pb2.Words
CHECKS = {
    infer_pb2.ClassifyRequest: checks.check_classify,
    infer_pb2.TagTokensRequest: checks.check_tag_tokens,
    infer_pb2.AnswerRequest: checks.check_answer,
    infer_pb2.EmbedRequest: checks.check_embed,
    infer_pb2.AnalyzeRequest: checks.check_analyze,
}


def classify(**fields):
    return infer_pb2.ClassifyRequest(**{"adapter": "x", "inputs": [A], **fields})


def analyze(*tasks, inputs=(A,)):
    return infer_pb2.AnalyzeRequest(tasks=tasks, inputs=inputs)


TASK = infer_pb2.AnalyzeTask(adapter="x")

BAD = [
    (classify(adapter="../x"), "adapter"),
    (classify(adapter="Upper"), "adapter"),
    (classify(adapter="a" * 65), "adapter"),
    (classify(adapter="a\0b"), "adapter"),
    (classify(adapter="ѕentiment"), "adapter"),
    (classify(adapter="base"), "adapter"),
    (classify(adapter="x@12"), "adapter"),
    (classify(inputs=[]), "inputs"),
    (classify(inputs=[A] * 10_000), "inputs"),
    (classify(inputs=[infer_pb2.Input()]), "inputs[0]"),
    (classify(inputs=[A, infer_pb2.Input(text="")]), "inputs[1].text"),
    (classify(inputs=[infer_pb2.Input(text="a" * 1_000_001)]), "inputs[0].text"),
    (classify(inputs=[infer_pb2.Input(words=WORDS())]), "inputs[0].words"),
    (classify(inputs=[infer_pb2.Input(words=WORDS(words=["a", ""]))]), "inputs[0].words[1]"),
    (classify(inputs=[infer_pb2.Input(words=WORDS(words=["a"] * 10_001))]), "inputs[0].words"),
    (classify(inputs=[infer_pb2.Input(words=WORDS(words=["a"]), text_pair="b")]), "inputs[0].text_pair"),
    (classify(options=infer_pb2.ClassifyOptions(top_k=-1)), "options.top_k"),
    (classify(options=infer_pb2.ClassifyOptions(problem_type=99)), "options.problem_type"),
    (infer_pb2.TagTokensRequest(inputs=[A], options=infer_pb2.TagOptions(view=99)), "options.view"),
    (infer_pb2.EmbedRequest(inputs=[A], options=infer_pb2.EmbedOptions(pooling=99)), "options.pooling"),
    (infer_pb2.AnswerRequest(inputs=[]), "inputs"),
    (infer_pb2.AnswerRequest(inputs=[infer_pb2.QuestionInput(question="a")]), "inputs[0].context"),
    (
        infer_pb2.AnswerRequest(
            inputs=[infer_pb2.QuestionInput(question="a", context="b")],
            options=infer_pb2.AnswerOptions(max_answer_tokens=-5),
        ),
        "options.max_answer_tokens",
    ),
    (analyze(), "tasks"),
    (analyze(*[TASK] * 65), "tasks"),
    (analyze(*[TASK] * 64, inputs=[A] * 17), "inputs"),
    (analyze(TASK, infer_pb2.AnalyzeTask(adapter="../x")), "tasks[1].adapter"),
    (analyze(infer_pb2.AnalyzeTask(tag=infer_pb2.TagOptions(top_k=-1))), "tasks[0].tag.top_k"),
]


@pytest.mark.parametrize(("request_", "field"), BAD, ids=[f"{i}-{field}" for i, (_, field) in enumerate(BAD)])
def test_a_bad_request_is_refused_by_the_name_of_its_field(request_, field):
    with pytest.raises(InvalidRequestError) as caught:
        CHECKS[type(request_)](request_)

    assert [field] == [name for name, _ in caught.value.violations]


def test_a_good_request_keeps_all_that_was_asked():
    request = infer_pb2.AnalyzeRequest(
        tasks=[
            infer_pb2.AnalyzeTask(adapter="x@0123abcd"),
            infer_pb2.AnalyzeTask(adapter="c", classify=infer_pb2.ClassifyOptions(top_k=2, problem_type=2)),
            infer_pb2.AnalyzeTask(adapter="t", tag=infer_pb2.TagOptions(view=2, top_k=3)),
            infer_pb2.AnalyzeTask(adapter="q", answer=infer_pb2.AnswerOptions(allow_no_answer=True)),
            infer_pb2.AnalyzeTask(embed=infer_pb2.EmbedOptions(pooling=4, normalize=True)),
        ],
        inputs=[infer_pb2.Input(text="a", text_pair="b"), infer_pb2.Input(words=WORDS(words=["c", "d"]))],
        truncate=True,
    )

    call = checks.check_analyze(request)

    assert [
        None,
        ClassifyOptions(2, ProblemType.MULTI_LABEL),
        TagOptions(spans=True, num_alternatives=3),
        AnswerOptions(allow_no_answer=True),
        EmbedOptions(Pooling.MAX, normalize=True),
    ] == [task.options for task in call.tasks]
    assert (TextInput("a", "b"), WordsInput(("c", "d"))) == call.inputs
    assert call.truncate


def test_routing_metadata_must_agree_with_the_request():
    checks.check_routing(["x", "x"], [("x-adapter-id", "x"), ("other", "y")])
    checks.check_routing(["x"], None)

    with pytest.raises(InvalidRequestError, match="x-adapter-id"):
        checks.check_routing(["x"], [("x-adapter-id", "y")])
    with pytest.raises(InvalidRequestError, match="x-adapter-id"):
        checks.check_routing(["x", "y"], [("x-adapter-id", "x")])


@pytest.mark.parametrize("request_id", ["", "a" * 129, "used"])
def test_a_streamed_request_needs_an_id_of_its_own(request_id):
    with pytest.raises(InvalidRequestError, match="request_id"):
        checks.check_request_id(request_id, {"used"})


@given(st.sampled_from(list(CHECKS)), st.binary(max_size=200))
def test_any_message_is_checked_or_refused(kind, data):
    """Whatever bytes parse as a message, the check returns or raises InvalidRequestError."""
    try:
        request = kind.FromString(data)
    except Exception:
        return
    with suppress(InvalidRequestError):
        CHECKS[kind](request)
