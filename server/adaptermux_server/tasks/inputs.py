"""Inputs as the transport has checked them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextInput:
    """A text, or a pair of texts. For question answering: `text` is the question, `pair` the context."""

    text: str
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class WordsInput:
    """A sentence that is split into words already; each is tokenised on its own."""

    words: tuple[str, ...]


Input = TextInput | WordsInput
