"""From the command line's texts to inputs."""

import sys
from collections.abc import Sequence

import typer

from adaptermux_client.cli.options import InputForm
from adaptermux_client.requests import Input

_STDIN = ["-"]


def read_texts(texts: list[str] | None) -> list[str]:
    """The texts given, or the lines of stdin that aren't blank. None at all is wrong usage."""
    if not texts and sys.stdin.isatty():
        raise _usage("give some texts, or - to read one from each line of stdin")
    found = texts if texts and texts != _STDIN else _lines(read_stdin())
    if not found:
        raise _usage("stdin has no text")
    return [_utf8(text) for text in found]


def read_stdin() -> str:
    """All of stdin, as UTF-8 whatever the locale says."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise _usage(f"stdin isn't UTF-8: {error}") from None


def inputs_of(texts: Sequence[str], form: InputForm) -> list[Input]:
    """The texts as inputs of a request."""
    match form:
        case InputForm.TEXT:
            return list(texts)
        case InputForm.WORDS:
            return [text.split() for text in texts]
        case InputForm.PAIR:
            return [pair_of(text) for text in texts]


def pair_of(text: str) -> tuple[str, str]:
    """Two texts in one, split at the first tab."""
    first, tab, second = text.partition("\t")
    if not tab:
        raise _usage(f"a pair is two texts with a tab between them, and this has none: {text[:60]!r}")
    return first, second


def _lines(text: str) -> list[str]:
    # `splitlines` would also split at characters that may stand within a text, such as U+2028.
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # what the shell passed wasn't UTF-8
        raise _usage("a text isn't UTF-8") from None
    return text


def _usage(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="TEXT")
