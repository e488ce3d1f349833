"""How the demo shows what it got, on a terminal."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptermux_client import (
    AdapterInfo,
    AliasInfo,
    AnalyzeTask,
    AnswerResult,
    Classification,
    InputAnalysis,
    ModelInfo,
    ServerStatus,
    TaggedSequence,
)
from examples.demo.traffic import NUM_CALLERS, NUM_PROCESSES, TrafficReport
from examples.parse_tree import decode_tree, draw_tree


def title(console: Console, text: str) -> None:
    """Begin a step of the demo."""
    console.print()
    console.rule(Text(text, style="bold"), align="left")


def model(console: Console, info: ModelInfo, pid: int) -> None:
    """Show the base model."""
    millions = info.num_parameters / 1e6
    console.print(f"{info.model_id}: {info.architecture}, {millions:.1f} M parameters, {info.dtype} (pid {pid})")


def loaded(console: Console, adapter: AdapterInfo) -> None:
    """Show one loaded adapter in a line."""
    labels = f", {len(adapter.labels)} labels" if adapter.labels else ""
    size = f"{adapter.size_bytes / 1e6:.1f} MB"
    task = adapter.task.replace("_", " ").lower()
    console.print(f"  {adapter.id:<10} {adapter.peft_type} r={adapter.rank}  {size:>7}  {task}{labels}")


def alias(console: Console, info: AliasInfo) -> None:
    """Show an alias in a line."""
    console.print(f"  {info.name:<10} → {', '.join(target.adapter for target in info.targets)}")


def restored(
    console: Console, adapters: Sequence[AdapterInfo], aliases: Sequence[AliasInfo], num_equal: int, num_asked: int
) -> None:
    """Show what a new server has of the one before it."""
    names = ", ".join(f"{adapter.id}@{adapter.revision[:6]}" for adapter in adapters if adapter.state == "READY")
    console.print(f"adapters: {names}")
    for info in aliases:
        alias(console, info)
    colour = "green" if num_equal == num_asked else "red"
    console.print(f"the same answers as before: [{colour}]{num_equal} of {num_asked}[/]")


def analysis(console: Console, words: Sequence[str], tasks: Mapping[str, AnalyzeTask], result: InputAnalysis) -> None:
    """Show what each task says of the sentence, and the parse as a tree."""
    console.print(Text(" ".join(words), style="italic"))
    by_task = dict(zip(tasks, result.analyses, strict=True))
    for name, one in by_task.items():
        if isinstance(one.result, Classification):
            scores = ", ".join(f"{label.label} {label.score:.2f}" for label in one.result.labels)
            console.print(Text.assemble(f"  {name:<10} ", scores))
        elif isinstance(one.result, TaggedSequence) and one.result.spans:
            spans = "  ".join(f"[{span.text}]" for span in one.result.spans)
            console.print(Text.assemble(f"  {name:<10} ", spans))
    upos = [tag.label for tag in _tags(by_task["pos"].result)]
    console.print(Text.assemble(f"  {'pos':<10} ", "  ".join(map("/".join, zip(words, upos, strict=True)))))
    alternatives = [
        [(choice.label, choice.score) for choice in tag.alternatives] for tag in _tags(by_task["parse"].result)
    ]
    console.print("  parse")
    for line in draw_tree(words, decode_tree(alternatives, upos)).splitlines():
        console.print(Text(f"    {line}"))


def answer(console: Console, question: str, context: str, result: AnswerResult) -> None:
    """Show an answer within its context."""
    best = result.answers[0]
    console.print(Text.assemble(f"  {'qa':<10} ", (context, "italic")))
    console.print(Text.assemble(f"  {'':<10} {question} → ", (best.text, "bold"), f" ({best.score:.2f})"))


def traffic(console: Console, report: TrafficReport, late: str, leaving: str) -> None:
    """Show answers and latencies by adapter."""
    table = Table(title=f"{NUM_PROCESSES} processes × {NUM_CALLERS} callers", title_justify="left")
    table.add_column("adapter")
    for name in ("answers", "p50 ms", "p95 ms", "refused"):
        table.add_column(name, justify="right")
    table.add_column("")
    notes = {late: "loaded after a third of the traffic", leaving: "unloaded after two thirds"}
    for adapter, latencies in sorted(report.latencies.items(), key=lambda item: -len(item[1])):
        p95 = quantiles(latencies, n=20)[-1] if len(latencies) > 1 else latencies[0]
        figures = (str(len(latencies)), f"{median(latencies) * 1e3:.0f}", f"{p95 * 1e3:.0f}")
        table.add_row(adapter, *figures, str(report.refused[adapter] or ""), notes.get(adapter, ""))
    console.print(table)
    rate = report.num_compared / report.seconds
    console.print(
        f"{report.num_compared} answers in {report.seconds:.1f} s ({rate:.0f}/s), each compared with the quiet server's"
        f" own: {report.num_wrong} wrong; unexpected failures: {dict(report.unexpected) or 'none'}"
    )


def scheduling(console: Console, before: ServerStatus, after: ServerStatus) -> None:
    """Show batches and traversals of the traffic, beside what the order of arrival would have cost."""
    batches = after.num_batches - before.num_batches
    rows = after.rows.answered - before.rows.answered
    made = after.num_traversals - before.num_traversals
    fifo = after.num_traversals_in_arrival_order - before.num_traversals_in_arrival_order
    console.print(f"{rows} rows in {batches} batches ({rows / max(1, batches):.1f} rows each)")
    console.print(f"{made} traversals; one adapter at a time, in the order of arrival, it would have been {fifo}")


def _tags(result: object) -> tuple:
    if not isinstance(result, TaggedSequence):
        raise TypeError(f"expected tags, got {type(result).__name__}")
    return result.tags
