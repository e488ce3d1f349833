"""What the fake server answers: simple rules, and statuses with details as the real server makes them."""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from adaptermux.v1 import adapter_admin_pb2, infer_pb2, types_pb2

REVISION = "3fa9c1d2" * 8
READY = adapter_admin_pb2.ADAPTER_STATE_READY
SENTIMENT = adapter_admin_pb2.Adapter(
    id="sentiment",
    revision=REVISION,
    state=READY,
    task=types_pb2.TASK_SEQUENCE_CLASSIFICATION,
    problem_type=types_pb2.PROBLEM_TYPE_SINGLE_LABEL,
    peft_type="LORA",
    rank=8,
    target_modules=["attention.self.query", "attention.self.value"],
    labels=["negative", "positive"],
    size_bytes=612_352,
    weight=1.0,
    max_wait=Duration(seconds=0, nanos=250_000_000),
    uri="file:///adapters/sentiment",
    load_time=Timestamp(seconds=1_700_000_000),
    num_rows_answered=12,
    executor=adapter_admin_pb2.EXECUTOR_BANK,
)
POS = adapter_admin_pb2.Adapter(
    id="pos",
    revision=REVISION,
    state=READY,
    task=types_pb2.TASK_TOKEN_CLASSIFICATION,
    peft_type="IA3",
    labels=["DET", "NOUN", "VERB", "ADJ"],
    size_bytes=90_000,
    weight=2.0,
    uri="file:///adapters/pos",
    executor=adapter_admin_pb2.EXECUTOR_SWITCH,
)


def failure(
    code: grpc.StatusCode,
    message: str,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    *,
    violations: tuple[tuple[str, str], ...] = (),
    retry_seconds: float | None = None,
) -> status_pb2.Status:
    """A status as the real server makes them."""
    details: list[Message] = []
    if reason:
        details.append(error_details_pb2.ErrorInfo(reason=reason, domain="adaptermux", metadata=metadata or {}))
    if violations:
        fields = [error_details_pb2.BadRequest.FieldViolation(field=f, description=d) for f, d in violations]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    if retry_seconds is not None:
        delay = Duration(nanos=round(retry_seconds * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(code=code.value[0], message=message, details=[_packed(detail) for detail in details])


UNAVAILABLE = failure(grpc.StatusCode.UNAVAILABLE, "try again")


def _packed(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed


def not_found(adapter: str) -> status_pb2.Status:
    """What the server says of an adapter that it doesn't know."""
    message = f"no adapter {adapter!r} is loaded; did you mean sentiment?"
    return failure(
        grpc.StatusCode.NOT_FOUND, message, "ADAPTER_NOT_FOUND", {"adapter": adapter, "similar": "sentiment"}
    )


def adapter_ref(adapter: str) -> types_pb2.AdapterRef:
    """Who answered."""
    return types_pb2.AdapterRef(id=adapter, revision=REVISION)


TIMINGS = infer_pb2.Timings(queue=Duration(nanos=2_000_000), compute=Duration(nanos=9_000_000))


def pieces_of(each: infer_pb2.Input) -> list[str]:
    """Words of an input."""
    return list(each.words.words) if each.HasField("words") else each.text.split()


def classification(each: infer_pb2.Input, options: infer_pb2.ClassifyOptions) -> infer_pb2.Classification:
    """Positive if the text says "good"."""
    good = "good" in f"{each.text} {each.text_pair} {' '.join(each.words.words)}"
    names = ["positive", "negative"] if good else ["negative", "positive"]
    labels = [infer_pb2.LabelScore(label=name, score=score) for name, score in zip(names, (0.75, 0.25), strict=True)]
    return infer_pb2.Classification(
        labels=labels[: options.top_k or None],
        logits=[-0.5, 0.5] if options.return_logits else [],
        problem_type=options.problem_type or types_pb2.PROBLEM_TYPE_SINGLE_LABEL,
        num_tokens=len(pieces_of(each)) + 2,
    )


_TAGS = {"The": "DET", "film": "NOUN", "was": "VERB", "good": "ADJ"}


def tagged(each: infer_pb2.Input, options: infer_pb2.TagOptions) -> infer_pb2.TaggedSequence:
    """A tag for each piece, or one span over all of them."""
    pieces, answer, start = pieces_of(each), infer_pb2.TaggedSequence(), 0
    answer.num_tokens = len(pieces) + 2
    if options.view == infer_pb2.TAG_VIEW_SPANS:
        answer.spans.add(label="all", score=0.5, text=" ".join(pieces), start=0, end=len(each.text) or len(pieces))
        return answer
    for index, piece in enumerate(pieces):
        tag = answer.tags.add(label=_TAGS.get(piece, "X"), score=0.875, text=piece, index=index)
        if each.text:
            tag.start, tag.end, start = start, start + len(piece), start + len(piece) + 1
        tag.alternatives.extend([infer_pb2.LabelScore(label=tag.label, score=tag.score)] * options.top_k)
    return answer


def answered(question: str, context: str, options: infer_pb2.AnswerOptions) -> infer_pb2.AnswerResult:
    """The context's first word."""
    word = context.split(maxsplit=1)[0]
    spans = [infer_pb2.AnswerSpan(text=word, score=0.625, start=0, end=len(word))]
    if options.allow_no_answer:
        spans.append(infer_pb2.AnswerSpan(score=0.125, no_answer=True))
    return infer_pb2.AnswerResult(answers=spans, num_tokens=len(question.split()) + len(context.split()) + 3)


def embedding(each: infer_pb2.Input) -> infer_pb2.Embedding:
    """Four values."""
    return infer_pb2.Embedding(values=[0.5, -0.25, 0.0, float(len(each.text))], num_tokens=len(pieces_of(each)) + 2)


def analysis(task: infer_pb2.AnalyzeTask, each: infer_pb2.Input) -> infer_pb2.Analysis:
    """By the options, else by the adapter's name."""
    ref = adapter_ref(task.adapter) if task.adapter else None
    kind = task.WhichOneof("options") or {"pos": "tag", "qa": "answer"}.get(task.adapter, "classify")
    if kind == "tag":
        return infer_pb2.Analysis(adapter=ref, tags=tagged(each, task.tag))
    if kind == "answer":
        return infer_pb2.Analysis(adapter=ref, answer=answered(each.text, each.text_pair, task.answer))
    if kind == "embed":
        return infer_pb2.Analysis(adapter=ref, embedding=embedding(each))
    return infer_pb2.Analysis(adapter=ref, classification=classification(each, task.classify))


def analyzed(request: infer_pb2.AnalyzeRequest) -> infer_pb2.AnalyzeResponse:
    """Every input to every task."""
    response = infer_pb2.AnalyzeResponse(timings=TIMINGS)
    for each in request.inputs:
        response.results.add(analyses=[analysis(task, each) for task in request.tasks])
    return response


def server_status() -> adapter_admin_pb2.GetServerStatusResponse:
    """A server that has worked for a while."""
    return adapter_admin_pb2.GetServerStatusResponse(
        version="0.1.0",
        start_time=Timestamp(seconds=1_700_000_000),
        adapters_by_state={"READY": 2},
        adapters_by_tier={"DEVICE": 1, "DISK": 1},
        tier_counts=adapter_admin_pb2.TierCounts(hits=900, host_misses=7, disk_misses=3, evictions=5, prefetches=2),
        queues=[adapter_admin_pb2.QueueStatus(adapter_id="pos", num_rows=3, oldest_wait=Duration(nanos=4_000_000))],
        num_rows_queued=3,
        rows=adapter_admin_pb2.RowCounts(accepted=1000, answered=990, cancelled=5, expired=2, rejected=1, failed=2),
        num_batches=100,
        mean_batch_rows=9.9,
        mean_batch_adapters=3.25,
        forwards_by_kernel={"uniform": 25, "segments": 63, "switch": 12},
        num_traversals=12,
        num_traversals_in_arrival_order=480,
        costs=adapter_admin_pb2.CostEstimates(
            traversal=Duration(nanos=12_000_000), batch=Duration(nanos=2_000_000), token=Duration(nanos=30_000)
        ),
        memory=adapter_admin_pb2.MemoryStatus(
            base_bytes=90_852_864,
            adapter_bytes=702_352,
            resident_bytes=600_000_000,
            host_adapter_bytes=1_404_704,
            store_bytes=5_000_000,
            adapter_bytes_limit=1_048_576,
            host_adapter_bytes_limit=0,
        ),
        library_versions={"torch": "2.13.0", "peft": "0.21.2"},
    )


def model_info() -> infer_pb2.GetModelResponse:
    """The base model."""
    return infer_pb2.GetModelResponse(
        model_id="all-MiniLM-L6-v2",
        architecture="BertModel",
        dtype="float32",
        device="cpu",
        hidden_size=384,
        max_tokens=512,
        vocab_size=30_522,
        num_parameters=22_713_216,
        rpcs=["Classify", "TagTokens"],
        peft_types=["LORA", "IA3"],
    )
