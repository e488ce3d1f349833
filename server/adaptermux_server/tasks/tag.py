"""Logits of tokens to one tag for each word or token, or to merged spans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from adaptermux_server.tasks.inputs import TextInput, WordsInput
from adaptermux_server.tasks.options import TagOptions
from adaptermux_server.tasks.results import Span, Tag, TaggedSequence
from adaptermux_server.tasks.scores import Scores, as_floats, best_labels, softmax
from adaptermux_server.tasks.spans import merge_tags
from adaptermux_server.tasks.tokenizing import Encoded
from adaptermux_server.types import AdapterSpec, Values


@dataclass(frozen=True, slots=True)
class _Unit:
    """What gets one tag: a word, or a token of a text."""

    token: int
    """Whose logits count: the first token of a word."""
    index: int
    start: int
    end: int
    text: str


def tagged_sequence(encoded: Encoded, values: Values, spec: AdapterSpec, options: TagOptions) -> TaggedSequence:
    """Tag one input. Shapes: values [tokens, labels]."""
    scores = softmax(values)
    units = tuple(_words(encoded) if options.spans or isinstance(encoded.source, WordsInput) else _tokens(encoded))
    return TaggedSequence(
        tags=() if options.spans else tuple(_tag(unit, values, scores, spec.labels, options) for unit in units),
        spans=tuple(_spans(encoded, units, scores, spec.labels)) if options.spans else (),
        num_tokens=encoded.num_tokens,
        truncated=encoded.truncated,
    )


def _tokens(encoded: Encoded) -> Iterator[_Unit]:
    """The tokens of a text, special ones left out."""
    index = 0
    for token, word in enumerate(encoded.word_ids):
        if word is not None:
            yield _text_unit(encoded, token, index, *encoded.offsets[token])
            index += 1


def _words(encoded: Encoded) -> Iterator[_Unit]:
    """The words as given, or as the tokenizer splits a text; a word has the tag of its first token."""
    runs = groupby(range(encoded.num_tokens), key=encoded.word_ids.__getitem__)
    runs_of_words = ((word, tuple(run)) for word, run in runs if word is not None)
    for index, (word, (first, *rest)) in enumerate(runs_of_words):
        if isinstance(encoded.source, WordsInput):
            yield _Unit(first, word, 0, 0, encoded.source.words[word])
        else:
            last = rest[-1] if rest else first
            yield _text_unit(encoded, first, index, encoded.offsets[first][0], encoded.offsets[last][1])


def _text_unit(encoded: Encoded, token: int, index: int, start: int, end: int) -> _Unit:
    text = encoded.source.text if isinstance(encoded.source, TextInput) else ""
    return _Unit(token, index, start, end, text[start:end])


def _tag(unit: _Unit, values: Values, scores: Scores, labels: Sequence[str], options: TagOptions) -> Tag:
    best, *_ = alternatives = best_labels(scores[unit.token], labels, max(1, options.num_alternatives))
    return Tag(
        label=best.label,
        score=best.score,
        text=unit.text,
        index=unit.index,
        start=unit.start,
        end=unit.end,
        alternatives=alternatives if options.num_alternatives else (),
        logits=as_floats(values[unit.token]) if options.return_logits else (),
    )


def _spans(encoded: Encoded, units: Sequence[_Unit], scores: Scores, labels: Sequence[str]) -> Iterator[Span]:
    best = [scores[unit.token].argmax() for unit in units]
    for found in merge_tags([labels[i] for i in best], labels):
        covered = range(found.first, found.end)
        score = sum(float(scores[units[i].token, best[i]]) for i in covered) / len(covered)
        first, last = units[found.first], units[found.end - 1]
        if isinstance(encoded.source, WordsInput):
            text = " ".join(units[i].text for i in covered)
            yield Span(found.label, score, text, first.index, last.index + 1)
        else:
            yield Span(found.label, score, encoded.source.text[first.start : last.end], first.start, last.end)
