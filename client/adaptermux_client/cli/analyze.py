"""`adaptermux analyze`: one text through many adapters, side by side."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adaptermux_client.admin_results import AdapterState
from adaptermux_client.cli import options, tables
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client, data_client
from adaptermux_client.cli.failing import ExitCode, fail
from adaptermux_client.cli.infer import BATCH_SIZE, merged_timings
from adaptermux_client.cli.options import InputForm
from adaptermux_client.cli.output import in_batches, jsonable, plain, print_json, show, table
from adaptermux_client.cli.texts import inputs_of, read_texts
from adaptermux_client.results import (
    Analysis,
    AnswerResult,
    Classification,
    Embedding,
    InputAnalysis,
    TaggedSequence,
    Task,
    TaskResult,
)

_MAX_ROWS = 1024  # tasks × inputs in one call
_KINDS: dict[type, str] = {
    Classification: "classification",
    TaggedSequence: "tags",
    AnswerResult: "answer",
    Embedding: "embedding",
}
"""Names of the kinds of results in JSON; those of `Analysis` in infer.proto."""


def analyze(
    texts: options.Texts = None,
    *,
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            "-a",
            help="Whom to ask; may be repeated. None: all that are READY (as the admin listener says), but those for"
            " question answering unless --as pair.",
            show_default=False,
        ),
    ] = None,
    form: options.Form = InputForm.TEXT,
    truncate: options.Truncate = False,
    address: options.Address = options.ADDRESS,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Ask several adapters about the same texts, in one call."""
    given = read_texts(texts)
    tasks = adapters or _ready_adapters(admin_address, timeout, form)
    with reporting(address), data_client(address, timeout) as client:
        call = partial(client.analyze, tasks, truncate=truncate)
        size = max(1, min(BATCH_SIZE, _MAX_ROWS // len(tasks)))
        batches = in_batches(inputs_of(given, form), size, call)
    results = [result for batch in batches for result in batch]
    if as_json:
        print_json({"results": _document(given, results), "timings": merged_timings(batches)})
    else:
        show(*(_shown(text, result) for text, result in zip(given, results, strict=True)))


def _ready_adapters(admin_address: str, timeout: float, form: InputForm) -> list[str]:
    with reporting(admin_address), admin_client(admin_address, timeout) as admin:
        ready = list(admin.adapters(state=AdapterState.READY))
    left_out = set() if form is InputForm.PAIR else {Task.QUESTION_ANSWERING}
    chosen = [adapter.id for adapter in ready if adapter.task not in left_out]
    if not chosen:
        fail("no adapter is READY", ExitCode.SERVER_ERROR, "adaptermux adapters load ID PATH loads one")
    return chosen


def _document(texts: Sequence[str], results: Sequence[InputAnalysis]) -> list[dict[str, object]]:
    return [
        {
            "input": text,
            "analyses": [
                {"adapter": jsonable(each.adapter), _KINDS[type(each.result)]: jsonable(each.result)}
                for each in result.analyses
            ],
        }
        for text, result in zip(texts, results, strict=True)
    ]


def _shown(text: str, result: InputAnalysis) -> RenderableType:
    """The text; what is said of it as a whole; then its tokens with a column for each tagger."""
    taggers = [each for each in result.analyses if isinstance(each.result, TaggedSequence)]
    whole = Table.grid(padding=(0, 2))
    for each in result.analyses:
        if each not in taggers:
            whole.add_row(plain(_name(each), "bold"), _line(each.result))
    return Group(plain(text, "bold underline"), whole, *_tag_tables(taggers), Text())


def _tag_tables(taggers: Sequence[Analysis]) -> list[RenderableType]:
    if not taggers:
        return []
    grid = table("TOKEN", *map(_name, taggers))
    sequences = [each.result.tags for each in taggers if isinstance(each.result, TaggedSequence)]
    # All adapters share one tokenizer, so the same place is the same token for each of them.
    for tags in zip(*sequences, strict=True):
        grid.add_row(plain(tags[0].text), *(plain(tag.label, "cyan") for tag in tags))
    return [grid]


def _name(analysis: Analysis) -> str:
    return analysis.adapter.id if analysis.adapter else "base model"


def _line(result: TaskResult) -> Text:
    match result:
        case Classification():
            return tables.label_line(result)
        case AnswerResult():
            return Text("  ").join(plain(found.text or "no answer", "bold") for found in result.answers)
        case Embedding():
            return Text(f"{len(result.values)} values: {tables.vector(result)}")
        case TaggedSequence():
            return tables.span_line(result.spans)
