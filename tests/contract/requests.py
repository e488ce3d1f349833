"""Rows 1 to 7 and 24: requests that are wrong by themselves."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2_grpc import InferStub
from tests.contract.world import Case, World, assert_refused, refusal, refuses
from tests.e2e.expected import TEXTS

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

_BAD_IDS = {
    "parent": "../x",
    "upper-case": "Sentiment",
    "65-characters": "a" * 65,
    "nul": "a\0b",
    "look-alike": "ѕentiment",  # its first letter is Cyrillic
    "reserved": "base",
    "ends-with-dash": "a-",
    "line-end": "sentiment\n",
    "revision-too-short": "sentiment@abc",
}


def _classify(world: World, *inputs: infer_pb2.Input, adapter: str = "sentiment", **kwargs: Any) -> Awaitable[object]:
    call: Awaitable[object] = world.infer.Classify(infer_pb2.ClassifyRequest(adapter=adapter, inputs=inputs), **kwargs)
    return call


def _text(text: str = TEXTS[0], **fields: Any) -> infer_pb2.Input:
    return infer_pb2.Input(text=text, **fields)


def _words(*words: str, **fields: Any) -> infer_pb2.Input:
    return infer_pb2.Input(words=infer_pb2.Words(words=words), **fields)


async def _unknown_adapter(world: World) -> None:
    error = await refusal(_classify(world, _text(), adapter="sentimant"))
    assert_refused(error, grpc.StatusCode.NOT_FOUND, "ADAPTER_NOT_FOUND", says=["sentimant", "sentiment"])
    assert "sentiment" == error.metadata["similar"]


async def _bad_in_stream(world: World) -> None:
    bad = infer_pb2.AnalyzeRequest(tasks=[infer_pb2.AnalyzeTask(adapter="nobody")], inputs=[_text()])
    good = infer_pb2.AnalyzeRequest(tasks=[infer_pb2.AnalyzeTask(adapter="sentiment")], inputs=[_text()])
    sent = [bad, infer_pb2.AnalyzeRequest(), good]
    requests = [infer_pb2.StreamAnalyzeRequest(request_id=str(i), request=each) for i, each in enumerate(sent)]
    requests.append(infer_pb2.StreamAnalyzeRequest(request_id="x" * 129, request=good))
    answers = {answer.request_id: answer async for answer in world.infer.StreamAnalyze(iter(requests))}
    codes = {request_id: answer.error.code for request_id, answer in answers.items()}
    assert {"0": 5, "1": 3, "2": 0, "x" * 129: 3} == codes
    assert 1 == len(answers["2"].response.results)


async def _routed_elsewhere_in_a_stream(world: World) -> None:
    asked = {name: infer_pb2.AnalyzeRequest(tasks=[infer_pb2.AnalyzeTask(adapter=name)], inputs=[_text()])
             for name in ("pos", "sentiment")}  # fmt: skip
    requests = [infer_pb2.StreamAnalyzeRequest(request_id=name, request=request) for name, request in asked.items()]
    stream = world.infer.StreamAnalyze(iter(requests), metadata=(("x-adapter-id", "pos"),))
    codes = {answer.request_id: answer.error.code async for answer in stream}
    assert {"pos": 0, "sentiment": INVALID.value[0]} == codes


async def _over_the_size_limit(world: World) -> None:
    error = await refusal(_classify(world, *[_text("a" * 900_000)] * 5))
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code
    assert str(4 << 20) in error.message


async def _over_the_size_limit_elsewhere(world: World) -> None:
    """A message of a stream, and one to the admin listener; each connection goes on."""
    large = infer_pb2.AnalyzeRequest(tasks=[infer_pb2.AnalyzeTask(adapter="pos")], inputs=[_text("a" * 900_000)] * 5)
    stream = world.infer.StreamAnalyze(iter([infer_pb2.StreamAnalyzeRequest(request_id="1", request=large)]))
    chunk = adapter_admin_pb2.UploadAdapterRequest(chunk=bytes(8 << 20))
    for call in (stream.read(), world.admin.UploadAdapter(iter([chunk]))):
        error = await refusal(call)
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code
        assert "max" in error.message.lower()


async def _services_on_the_other_listener(world: World) -> None:
    admin, infer = AdapterAdminStub(world.data), InferStub(world.control)
    calls: list[Any] = [
        admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest()),
        admin.LoadAdapter(adapter_admin_pb2.LoadAdapterRequest(adapter_id="a", uri=str(world.root / "spare"))),
        infer.GetModel(infer_pb2.GetModelRequest()),
    ]
    for call in calls:
        assert grpc.StatusCode.UNIMPLEMENTED == (await refusal(call)).code


def _bad_id(name: str, bad: str) -> list[Case]:
    """Refused where it names an adapter to ask, and where it names one to load."""
    return [
        refuses(3, f"infer-{name}", lambda w: _classify(w, _text(), adapter=bad), INVALID,
                "INVALID_REQUEST", ["adapter"]),
        refuses(3, f"load-{name}", lambda w: w.load(bad, w.root / "spare"), INVALID, "INVALID_REQUEST", ["adapter_id"]),
    ]  # fmt: skip


def _bad_id_elsewhere(bad: str) -> list[Case]:
    """Refused by every RPC that takes an id."""
    alias = adapter_admin_pb2.Alias(name="prod", targets=[adapter_admin_pb2.AliasTarget(adapter=bad)])
    task = infer_pb2.AnalyzeTask(adapter=bad)
    question = infer_pb2.QuestionInput(question="a", context="b")
    calls: dict[str, tuple[str, Callable[[World], Awaitable[object]]]] = {
        "get": ("adapter_id", lambda w: w.admin.GetAdapter(adapter_admin_pb2.GetAdapterRequest(adapter_id=bad))),
        "unload": ("adapter_id", lambda w: w.unload(bad)),
        "delete": ("adapter_id", lambda w: w.admin.DeleteAdapter(
            adapter_admin_pb2.DeleteAdapterRequest(adapter_id=bad))),
        "update": ("adapter.id", lambda w: w.admin.UpdateAdapter(
            adapter_admin_pb2.UpdateAdapterRequest(
                adapter=adapter_admin_pb2.Adapter(id=bad), update_mask=FieldMask(paths=["pinned"])))),
        "alias-target": ("alias.targets[0].adapter", lambda w: w.admin.SetAlias(
            adapter_admin_pb2.SetAliasRequest(alias=alias))),
        "analyze": ("tasks[0].adapter", lambda w: w.infer.Analyze(
            infer_pb2.AnalyzeRequest(tasks=[task], inputs=[_text()]))),
        "tag": ("adapter", lambda w: w.infer.TagTokens(infer_pb2.TagTokensRequest(adapter=bad, inputs=[_text()]))),
        "answer": ("adapter", lambda w: w.infer.Answer(infer_pb2.AnswerRequest(adapter=bad, inputs=[question]))),
        "embed": ("adapter", lambda w: w.infer.Embed(infer_pb2.EmbedRequest(adapter=bad, inputs=[_text()]))),
    }  # fmt: skip
    return [
        refuses(3, f"{name}-parent", call, INVALID, "INVALID_REQUEST", [field]) for name, (field, call) in calls.items()
    ]


def _bad_ids() -> list[Case]:
    get, unload = adapter_admin_pb2.GetAdapterRequest(), adapter_admin_pb2.UnloadAdapterRequest()
    return [
        *(case for name, bad in _BAD_IDS.items() for case in _bad_id(name, bad)),
        *_bad_id_elsewhere("../x"),
        refuses(3, "get-empty", lambda w: w.admin.GetAdapter(get), INVALID, "INVALID_REQUEST", ["adapter_id"]),
        refuses(3, "unload-empty", lambda w: w.admin.UnloadAdapter(unload), INVALID, "INVALID_REQUEST", ["adapter_id"]),
        refuses(3, "load-empty", lambda w: w.load("", w.root / "spare"), INVALID, "INVALID_REQUEST", ["adapter_id"]),
        refuses(3, "infer-empty", lambda w: _classify(w, _text(), adapter=""), PRECONDITION, "ADAPTER_REQUIRED"),
        refuses(
            3, "metadata-names-another",
            lambda w: _classify(w, _text(), metadata=(("x-adapter-id", "pos"),)),
            INVALID, "INVALID_REQUEST", ["x-adapter-id"],
        ),
    ]  # fmt: skip


def _empty_part(field: str, **other: str) -> Case:
    request = infer_pb2.AnswerRequest(adapter="qa", inputs=[infer_pb2.QuestionInput(**other)])
    fields = [f"inputs[0].{field}"]
    return refuses(4, f"empty-{field}", lambda w: w.infer.Answer(request), INVALID, "INVALID_REQUEST", fields)


def _bad_inputs() -> list[Case]:
    def invalid(name: str, field: str, *inputs: infer_pb2.Input) -> Case:
        return refuses(4, name, lambda w: _classify(w, *inputs), INVALID, "INVALID_REQUEST", [field])

    return [
        invalid("none", "inputs"),
        invalid("10000", "inputs", *[_text("a")] * 10_000),
        invalid("neither-text-nor-words", "inputs[1]", _text(), infer_pb2.Input()),
        invalid("empty-text", "inputs[0].text", _text("")),
        invalid("words-beside-pair", "inputs[0].text_pair", _words("a", text_pair="b")),
        invalid("no-words", "inputs[0].words", _words()),
        invalid("empty-word", "inputs[0].words[1]", _words("a", "")),
        invalid("10001-words", "inputs[0].words", _words(*["a"] * 10_001)),
        invalid("million-and-one-characters", "inputs[0].text", _text("a" * 1_000_001)),
        refuses(4, "too-long", lambda w: _classify(w, _text("cat " * 100)), INVALID, "INPUT_TOO_LONG", says=["102"]),
        refuses(
            4, "pair-for-tags",
            lambda w: w.infer.TagTokens(infer_pb2.TagTokensRequest(adapter="pos", inputs=[_text(text_pair="b")])),
            INVALID, "INVALID_REQUEST", ["inputs[0].text_pair"],
        ),
        _empty_part("question", context="b"),
        _empty_part("context", question="a"),
        refuses(
            4, "wrong-rpc", lambda w: _classify(w, _text(), adapter="pos"), PRECONDITION, "TASK_MISMATCH",
            says=["TagTokens"],
        ),
        refuses(
            4, "65-tasks",
            lambda w: w.infer.Analyze(
                infer_pb2.AnalyzeRequest(tasks=[infer_pb2.AnalyzeTask(adapter="pos")] * 65, inputs=[_text()])
            ),
            INVALID, "INVALID_REQUEST", ["tasks"],
        ),
        Case(4, "within-a-stream", _bad_in_stream),
    ]  # fmt: skip


def _bad_options() -> list[Case]:
    def classify(**options: Any) -> infer_pb2.ClassifyRequest:
        options_ = infer_pb2.ClassifyOptions(**options)
        return infer_pb2.ClassifyRequest(adapter="sentiment", inputs=[_text()], options=options_)

    def tag(**options: Any) -> infer_pb2.TagTokensRequest:
        options_ = infer_pb2.TagOptions(**options)
        return infer_pb2.TagTokensRequest(adapter="pos", inputs=[_text()], options=options_)

    answer = infer_pb2.AnswerRequest(
        adapter="qa",
        inputs=[infer_pb2.QuestionInput(question="a", context="b")],
        options=infer_pb2.AnswerOptions(max_answer_tokens=-(2**31)),
    )
    embed = infer_pb2.EmbedRequest(inputs=[_text()], options=infer_pb2.EmbedOptions(pooling=99))  # type: ignore[arg-type]
    listing = adapter_admin_pb2.ListAdaptersRequest

    def invalid(name: str, field: str, call: Any) -> Case:
        return refuses(6, name, call, INVALID, "INVALID_REQUEST", [field])

    return [
        invalid("top-k", "options.top_k", lambda w: w.infer.Classify(classify(top_k=-1))),
        invalid("alternatives", "options.top_k", lambda w: w.infer.TagTokens(tag(top_k=-1))),
        invalid("answer-tokens", "options.max_answer_tokens", lambda w: w.infer.Answer(answer)),
        invalid("problem-type", "options.problem_type", lambda w: w.infer.Classify(classify(problem_type=99))),
        invalid("view", "options.view", lambda w: w.infer.TagTokens(tag(view=99))),
        invalid("pooling", "options.pooling", lambda w: w.infer.Embed(embed)),
        invalid("state", "state", lambda w: w.admin.ListAdapters(listing(state=99))),  # type: ignore[arg-type]
        invalid("page-size", "page_size", lambda w: w.admin.ListAdapters(listing(page_size=-1))),
        invalid("page-token", "page_token", lambda w: w.admin.ListAdapters(listing(page_token="no such page"))),
        invalid("weight-nan", "weight", lambda w: w.load("new", w.root / "spare", weight=float("nan"))),
        invalid("weight-negative", "weight", lambda w: w.load("new", w.root / "spare", weight=-1)),
        invalid("max-wait-none", "max_wait", lambda w: w.load("new", w.root / "spare", max_wait={})),
        invalid("max-wait-a-day", "max_wait", lambda w: w.load("new", w.root / "spare", max_wait={"seconds": 86_400})),
        invalid("drain-negative", "drain_timeout", lambda w: w.unload("pos", drain_timeout={"seconds": -1})),
        invalid("labels-too-few", "labels", lambda w: w.load("sentiment", w.root / "spare", labels=["a", "b"])),
        invalid("labels-for-answers", "labels", lambda w: w.load("qa", w.root / "qa", labels=["a", "b"])),
        invalid("labels-repeated", "labels", lambda w: w.load("new", w.root / "spare", labels=["a", "a", "b"])),
    ]


CASES = [
    Case(1, "unknown-adapter", _unknown_adapter),
    refuses(
        1, "unknown-revision", lambda w: _classify(w, _text(), adapter="sentiment@00000000"),
        grpc.StatusCode.NOT_FOUND, "ADAPTER_NOT_FOUND",
    ),
    *_bad_ids(),
    Case(3, "metadata-names-another-in-a-stream", _routed_elsewhere_in_a_stream),
    *_bad_inputs(),
    *_bad_options(),
    Case(7, "over-the-size-limit", _over_the_size_limit),
    Case(7, "over-the-size-limit-elsewhere", _over_the_size_limit_elsewhere),
    Case(24, "on-the-other-listener", _services_on_the_other_listener),
]  # fmt: skip
