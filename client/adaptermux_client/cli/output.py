"""Writing: answers to stdout as tables or as JSON, progress and errors to stderr."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, TypeVar

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from adaptermux_client.errors import AdapterMuxClientError

T = TypeVar("T")
Out = TypeVar("Out")

_PIPE_WIDTH = 10_000
_COLUMN_GAP = 3  # what a table puts between columns
# A terminal would obey control characters that stand in texts or in labels.
_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)), "�")


def show(*parts: RenderableType) -> None:
    """Print answers, one below the other. Into a pipe lines are never wrapped or cut, and have no padding."""
    if sys.stdout.isatty():
        Console(highlight=False).print(Group(*parts))
        return
    text = io.StringIO()
    Console(file=text, highlight=False, width=_PIPE_WIDTH).print(Group(*parts))
    typer.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def stderr() -> Console:
    """For everything else; each message stays on one line."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str, style: str = "") -> Text:
    """Text from outside, shown as it is: no markup, no control characters."""
    return Text(text.translate(_CONTROLS), style=style)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns in `right` hold numbers."""
    grid = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return grid


def fitting(columns: Mapping[str, Sequence[Text]], *, right: Sequence[str], expendable: Sequence[str]) -> Table:
    """A table of columns of equal lengths. A terminal that is too narrow for all gets fewer, the first of `expendable`
    left out first: cells in pieces can't be read. Into a pipe go all."""
    shown = list(columns)
    room = Console().width if sys.stdout.isatty() else _PIPE_WIDTH
    for name in expendable:
        if sum(_width(each, columns[each]) for each in shown) > room:
            shown.remove(name)
    grid = table(*shown, right=right)
    for row in zip(*(columns[name] for name in shown), strict=True):
        grid.add_row(*row)
    return grid


def _width(name: str, cells: Sequence[Text]) -> int:
    return max((len(name), *(cell.cell_len for cell in cells))) + _COLUMN_GAP


def print_json(value: object) -> None:
    """One JSON document: fields of results by their names, enums as texts, times in ISO 8601."""
    typer.echo(json.dumps(jsonable(value), ensure_ascii=False, indent=2))


def jsonable(value: Any) -> Any:
    """A result as JSON types."""
    match value:
        case AdapterMuxClientError():
            return {
                "code": value.code.name,
                "reason": value.reason,
                "message": value.message,
                "metadata": value.metadata,
            }
        case datetime():
            return value.isoformat()
        case str() | int() | float() | bool() | None:
            return value
        case Mapping():
            return {key: jsonable(each) for key, each in value.items()}
        case _ if is_dataclass(value):
            return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
        case _:
            return [jsonable(each) for each in value]


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner while one long call runs, on a terminal alone."""
    console = stderr()
    if not console.is_terminal:
        yield
        return
    with console.status(f"{what} …"):
        yield


@contextmanager
def uploading(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What reports the progress of an upload, as a bar; None where there is no terminal."""
    console = stderr()
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"sending {what}", total=None)
        yield lambda sent, total: progress.update(task, completed=sent, total=total)


def in_batches(items: Sequence[T], size: int, call: Callable[[Sequence[T]], Out]) -> list[Out]:
    """Call with `size` items at a time; where it takes several calls a terminal shows how far it is."""
    starts = range(0, len(items), size)
    console = stderr()
    if len(starts) == 1 or not console.is_terminal:
        return [call(items[start : start + size]) for start in starts]
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Asking", total=len(items))
        answers = []
        for start in starts:
            answers.append(call(items[start : start + size]))
            progress.update(task, completed=min(start + size, len(items)))
        return answers
