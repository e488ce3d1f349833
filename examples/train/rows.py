"""The three shapes of training rows, and how a data set is divided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class TextRow:
    """A text with its class, or with a number to predict."""

    text: str
    target: str | float


@dataclass(frozen=True)
class TaggedRow:
    """Words with one tag each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class QuestionRow:
    """A question whose answer is context[start:end]; `guess` is what a simple rule would answer."""

    question: str
    context: str
    start: int
    end: int
    guess: str


Row = TextRow | TaggedRow | QuestionRow


@dataclass(frozen=True)
class Splits:
    """Rows to learn from, rows to choose settings on, rows that are only scored at the end."""

    train: Sequence[Row]
    dev: Sequence[Row]
    test: Sequence[Row]


OneKind = TypeVar("OneKind", TextRow, TaggedRow, QuestionRow)


def only(kind: type[OneKind], rows: Sequence[Row]) -> list[OneKind]:
    """Tell the type checker that all rows are of one kind; a row of another is an error."""
    chosen = [row for row in rows if isinstance(row, kind)]
    if len(chosen) != len(rows):
        raise TypeError(f"{len(rows) - len(chosen)} rows are not {kind.__name__}")
    return chosen
