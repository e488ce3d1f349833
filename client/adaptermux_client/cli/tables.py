"""Results as tables for people: pure, from texts and results to something that rich prints.

A lone text gets a table of its own with every detail that fits; several texts get a line each.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from rich.columns import Columns
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adaptermux_client.cli.output import plain, table
from adaptermux_client.results import (
    AnswerResult,
    Classification,
    Embedding,
    LabelScore,
    ProblemType,
    Results,
    Span,
    TaggedSequence,
    TokenizedInput,
)

T = TypeVar("T")
Show: TypeAlias = Callable[[Sequence[str], Sequence[T]], RenderableType]

_BAR_WIDTH = 20
_NUM_SHOWN = 3
_NUM_VALUES = 4
_THRESHOLD = 0.5  # a label of a multi-label head "holds" above it, as the sigmoid suggests


def classifications(texts: Sequence[str], results: Sequence[Classification]) -> RenderableType:
    """Labels with scores."""
    if len(results) == 1:
        return label_table(results[0])
    grid = table("TEXT", "LABELS")
    for text, result in zip(texts, results, strict=True):
        grid.add_row(plain(text), label_line(result))
    return grid


def label_table(result: Classification) -> Table:
    """Each label on a line, with a bar for its probability."""
    grid = table("LABEL", "SCORE", "", right=("SCORE",))
    for label in result.labels:
        bar = "" if result.problem_type is ProblemType.REGRESSION else "━" * round(label.score * _BAR_WIDTH)
        grid.add_row(plain(label.label, _style(result, label)), f"{label.score:.3f}", Text(bar, style="cyan"))
    return grid


def label_line(result: Classification) -> Text:
    """The best few labels on one line; those that hold are bold."""
    parts = [_label_score(label, _style(result, label)) for label in result.labels[:_NUM_SHOWN]]
    more = len(result.labels) - len(parts)
    return Text("  ").join([*parts, Text(f"… {more} more", style="dim")] if more else parts)


def tags(texts: Sequence[str], results: Sequence[TaggedSequence]) -> RenderableType:
    """A tag for each token: on a line of its own, or beneath the token."""
    if len(results) == 1:
        grid = table("TOKEN", "TAG", "SCORE", right=("SCORE",))
        for tag in results[0].tags:
            grid.add_row(plain(tag.text), plain(tag.label, "bold cyan"), f"{tag.score:.3f}")
        return grid
    stack = Table.grid()
    for result in results:
        stack.add_row(interlinear(result))
        stack.add_row("")
    return stack


def interlinear(result: TaggedSequence) -> Columns:
    """Tokens with their tags beneath, as in a grammar."""
    cells = [plain(tag.text).append("\n").append_text(plain(tag.label, "cyan")) for tag in result.tags]
    return Columns(cells, padding=(0, 2))


def spans(texts: Sequence[str], results: Sequence[TaggedSequence]) -> RenderableType:
    """Labelled stretches."""
    if len(results) == 1:
        grid = table("SPAN", "LABEL", "SCORE", "WHERE", right=("SCORE", "WHERE"))
        for span in results[0].spans:
            where = f"{span.start}–{span.end}"
            grid.add_row(plain(span.text), plain(span.label, "bold cyan"), f"{span.score:.3f}", where)
        return grid
    grid = table("TEXT", "SPANS")
    for text, result in zip(texts, results, strict=True):
        grid.add_row(plain(text), span_line(result.spans))
    return grid


def span_line(found: Sequence[Span]) -> Text:
    """Spans on one line."""
    if not found:
        return Text("–", style="dim")
    return Text("  ").join(
        plain(span.text, "bold").append(" ").append_text(plain(span.label, "cyan")) for span in found
    )


def answers(questions: Sequence[str], results: Sequence[AnswerResult]) -> RenderableType:
    """The answers to each question."""
    grid = table("QUESTION", "ANSWER", "SCORE", "WHERE", right=("SCORE", "WHERE"))
    for question, result in zip(questions, results, strict=True):
        for number, found in enumerate(result.answers):
            text = Text("no answer", style="dim") if found.no_answer else plain(found.text, "bold")
            where = "" if found.no_answer else f"{found.start}–{found.end}"
            grid.add_row(plain("" if number else question), text, f"{found.score:.3f}", where)
    return grid


def embeddings(texts: Sequence[str], results: Sequence[Embedding]) -> RenderableType:
    """The first values of each vector."""
    grid = table("TEXT", "SIZE", "VALUES", right=("SIZE",))
    for text, result in zip(texts, results, strict=True):
        grid.add_row(plain(text), str(len(result.values)), vector(result))
    return grid


def vector(result: Embedding) -> str:
    """The first few values."""
    return "  ".join(f"{value:+.3f}" for value in result.values[:_NUM_VALUES]) + "  …"


def tokens(texts: Sequence[str], results: Sequence[TokenizedInput], max_tokens: int) -> RenderableType:
    """Counts, and the tokens themselves."""
    grid = table("TEXT", f"COUNT (≤ {max_tokens})", "CUT", "TOKENS", right=(f"COUNT (≤ {max_tokens})", "CUT"))
    for text, result in zip(texts, results, strict=True):
        pieces = Text(" ").join(plain(token.text, "dim" if token.special else "") for token in result.tokens)
        cut = Text(str(result.num_excess_tokens), style="bold red" if result.num_excess_tokens else "dim")
        grid.add_row(plain(text), str(len(result.tokens)), cut, pieces)
    return grid


def footer(results: Results[T]) -> str:
    """Who answered, and in what time."""
    who = f"{results.adapter.id}@{results.adapter.revision[:8]}" if results.adapter else "base model"
    waited, computed = results.timings.queue_seconds * 1000, results.timings.compute_seconds * 1000
    return f"{who} · waited {waited:.1f} ms · computed {computed:.1f} ms"


def _style(result: Classification, label: LabelScore) -> str:
    match result.problem_type:
        case ProblemType.MULTI_LABEL:
            return "bold green" if label.score >= _THRESHOLD else "dim"
        case ProblemType.REGRESSION:
            return "bold"
        case _:
            return "bold green" if label is result.best else "dim"


def _label_score(label: LabelScore, style: str) -> Text:
    return plain(label.label, style).append(f" {label.score:.3f}", style="dim" if style == "dim" else "")
