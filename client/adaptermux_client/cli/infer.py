"""Commands that ask one adapter, or none."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from adaptermux_client.cli import options, tables
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import data_client
from adaptermux_client.cli.options import InputForm
from adaptermux_client.cli.output import in_batches, jsonable, print_json, show
from adaptermux_client.cli.texts import inputs_of, pair_of, read_stdin, read_texts
from adaptermux_client.results import Pooling, Results, Timings

T = TypeVar("T")

BATCH_SIZE = 64
"""Inputs in one call: enough to fill the server's batches, few enough to show progress."""

TopK = Annotated[int, typer.Option("--top-k", min=0, help="How many labels to return, best first; 0: all.")]


def classify(
    adapter: options.Adapter,
    texts: options.Texts = None,
    *,
    form: options.Form = InputForm.TEXT,
    top_k: TopK = 0,
    truncate: options.Truncate = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Classify texts: labels with scores, or the values of a regression."""
    given = read_texts(texts)
    with reporting(address), data_client(address, timeout) as client:
        call = partial(client.classify, adapter, top_k=top_k, truncate=truncate)
        results = _merged(in_batches(inputs_of(given, form), BATCH_SIZE, call))
    _print(given, results, as_json, tables.classifications)


def tag(
    adapter: options.Adapter,
    texts: options.Texts = None,
    *,
    form: options.Form = InputForm.TEXT,
    spans: Annotated[bool, typer.Option("--spans", help="Merge tags into spans, such as names.")] = False,
    truncate: options.Truncate = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Tag the tokens of texts (with --as words: their words), or find spans."""
    given = read_texts(texts)
    with reporting(address), data_client(address, timeout) as client:
        call = partial(client.tag, adapter, spans=spans, truncate=truncate)
        results = _merged(in_batches(inputs_of(given, form), BATCH_SIZE, call))
    _print(given, results, as_json, tables.spans if spans else tables.tags)


def answer(
    adapter: options.Adapter,
    questions: options.Texts = None,
    *,
    context: Annotated[
        str | None,
        typer.Option(help="Where to look; - reads stdin. Without it each question has its own, after a tab."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="How many answers to each question.")] = 1,
    no_answer: Annotated[bool, typer.Option("--no-answer", help="Allow that the context holds no answer.")] = False,
    truncate: options.Truncate = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Answer questions by spans of a context."""
    whole = read_stdin() if context == "-" else context
    given = read_texts(questions)
    pairs = [pair_of(text) if whole is None else (text, whole) for text in given]
    with reporting(address), data_client(address, timeout) as client:
        call = partial(client.answer, adapter, top_k=top_k, allow_no_answer=no_answer, truncate=truncate)
        results = _merged(in_batches(pairs, BATCH_SIZE, call))
    _print([question for question, _ in pairs], results, as_json, tables.answers)


def embed(
    texts: options.Texts = None,
    *,
    adapter: Annotated[str, typer.Option("--adapter", "-a", help="Whose hidden states; none: the base model's.")] = "",
    form: options.Form = InputForm.TEXT,
    pooling: Annotated[
        Pooling, typer.Option(case_sensitive=False, help="How tokens become one vector.")
    ] = Pooling.MEAN,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale vectors to length 1.")] = False,
    truncate: options.Truncate = False,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Turn texts into vectors. --json has all their values."""
    given = read_texts(texts)
    with reporting(address), data_client(address, timeout) as client:
        call = partial(client.embed, adapter=adapter, pooling=pooling, normalize=normalize, truncate=truncate)
        results = _merged(in_batches(inputs_of(given, form), BATCH_SIZE, call))
    _print(given, results, as_json, tables.embeddings)


def tokenize(
    texts: options.Texts = None,
    *,
    form: options.Form = InputForm.TEXT,
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Count tokens, and show what --truncate would cut."""
    given = read_texts(texts)
    with reporting(address), data_client(address, timeout) as client:
        batches = in_batches(inputs_of(given, form), BATCH_SIZE, client.tokenize)
    results = [result for batch in batches for result in batch]
    if as_json:
        print_json({"results": with_inputs(given, results), "max_tokens": batches[0].max_tokens})
    else:
        show(tables.tokens(given, results, batches[0].max_tokens))


def merged_timings(batches: Sequence[Results[T]]) -> Timings:
    """As for one call: the longest wait, and all batches added up."""
    return Timings(
        max(batch.timings.queue_seconds for batch in batches),
        sum(batch.timings.compute_seconds for batch in batches),
    )


def with_inputs(texts: Sequence[str], results: Sequence[object]) -> list[dict[str, object]]:
    """Each result as JSON types, headed by its text."""
    return [{"input": text, **jsonable(result)} for text, result in zip(texts, results, strict=True)]


def _merged(batches: Sequence[Results[T]]) -> Results[T]:
    """Several calls' results as those of one. A revision that changed meanwhile shows as that of the last call."""
    return Results(tuple(result for batch in batches for result in batch), batches[-1].adapter, merged_timings(batches))


def _print(texts: Sequence[str], results: Results[T], as_json: bool, renderable: tables.Show[T]) -> None:
    if as_json:
        document = {"results": with_inputs(texts, results), "adapter": results.adapter, "timings": results.timings}
        print_json(document)
        return
    footer = [Text(tables.footer(results), style="dim")] if sys.stdout.isatty() else []
    show(renderable(texts, results), *footer)
