"""Treebank sentences, and what word labels are derived from them: parse labels, noun phrases, questions.

The decoder, the other half of the parse labels, is `examples.parse_tree`; it stays free of training code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.parse_tree import ROOT, ROOT_LABEL, format_label

NOMINALS = frozenset({"NOUN", "PROPN", "PRON"})
# What belongs to a base noun phrase: neither clauses nor prepositional phrases.
INSIDE_NOUN_PHRASE = frozenset(
    {"det", "nmod:poss", "amod", "nummod", "compound", "flat", "advmod", "fixed", "goeswith"}
)


@dataclass(frozen=True)
class Sentence:
    """A tree over words. Heads count from 1 and 0 is the root; `spaces` says whether a space follows each word."""

    words: tuple[str, ...]
    upos: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    spaces: tuple[bool, ...] = ()


def read_conllu(path: Path) -> Iterator[Sentence]:
    """Read a CoNLL-U file; multiword ranges and empty nodes, which have no place in the tree, are left out."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if line and not line.startswith("#")]
        rows = [row for row in rows if row[0].isdigit()]
        if rows:
            yield Sentence(
                words=tuple(row[1] for row in rows),
                upos=tuple(row[3] for row in rows),
                heads=tuple(int(row[6]) for row in rows),
                relations=tuple(row[7] for row in rows),
                spaces=tuple("SpaceAfter=No" not in row[9] for row in rows),
            )


def encode_tree(sentence: Sentence) -> list[str]:
    """Label each word with where its head is, counted in words of the head's part of speech.

    Relations lose their subtypes (`nmod:poss` becomes `nmod`). Source: Strzyz et al., NAACL 2019, the encoding by
    relative part-of-speech positions; `examples.parse_tree.resolve_head` is its inverse.
    """
    triples = zip(range(1, len(sentence.words) + 1), sentence.heads, sentence.relations, strict=True)
    return [_encode_arc(word, head, relation.split(":")[0], sentence.upos) for word, head, relation in triples]


def noun_phrases(sentence: Sentence) -> list[tuple[int, int, int]]:
    """Return the base noun phrases as (head, first, last), counted from 1, in order and without overlap.

    The rule: a NOUN, PROPN or PRON with the unbroken run of words around it that hang on it, directly or through
    one another, by a relation of INSIDE_NOUN_PHRASE (an adverb or a hyphen only under such a modifier, a
    possessive `'s` with its possessor). A nominal inside a longer phrase starts none of its own.
    """
    candidates = [
        (word, *_phrase_run(word, sentence)) for word, tag in enumerate(sentence.upos, start=1) if tag in NOMINALS
    ]
    chosen: list[tuple[int, int, int]] = []
    for phrase in sorted(candidates, key=lambda phrase: (phrase[1] - phrase[2], phrase[0])):
        if all(phrase[2] < other[1] or phrase[1] > other[2] for other in chosen):
            chosen.append(phrase)
    return sorted(chosen, key=lambda phrase: phrase[1])


def chunk_tags(sentence: Sentence) -> list[str]:
    """Write the base noun phrases as one tag per word: B-NP, I-NP or O."""
    tags = ["O"] * len(sentence.words)
    for _, first, last in noun_phrases(sentence):
        tags[first - 1 : last] = ["B-NP"] + ["I-NP"] * (last - first)
    return tags


def subjects_and_objects(sentence: Sentence) -> Iterator[tuple[str, str, int, int]]:
    """Yield (role, verb, first, last) for verbs that occur once: where their subject or object is, from 1.

    The answer is the base noun phrase; arguments that are clauses, or that share a role, are left out.
    """
    spans = {head: (first, last) for head, first, last in noun_phrases(sentence)}
    lowered = [word.lower() for word in sentence.words]
    for role, relations in (("subject", ("nsubj", "nsubj:pass")), ("object", ("obj",))):
        for verb, tag in enumerate(sentence.upos, start=1):
            found = [
                word
                for word in range(1, len(sentence.words) + 1)
                if sentence.heads[word - 1] == verb and sentence.relations[word - 1] in relations
            ]
            if tag == "VERB" and len(found) == 1 and found[0] in spans and lowered.count(lowered[verb - 1]) == 1:
                yield role, sentence.words[verb - 1], *spans[found[0]]


def _encode_arc(word: int, head: int, relation: str, upos: tuple[str, ...]) -> str:
    if head == ROOT:
        return ROOT_LABEL
    tag = upos[head - 1]
    if head < word:
        return format_label(-upos[head - 1 : word - 1].count(tag), tag, relation)
    return format_label(upos[word:head].count(tag), tag, relation)


def _phrase_run(head: int, sentence: Sentence) -> tuple[int, int]:
    """Grow from the head in both directions while the next word belongs to its phrase."""
    first = last = head
    while first > 1 and _belongs(first - 1, head, sentence):
        first -= 1
    while last < len(sentence.words) and _belongs(last + 1, head, sentence):
        last += 1
    return first, last


def _belongs(word: int, head: int, sentence: Sentence) -> bool:
    """Say whether a word reaches the head through relations that stay inside a base noun phrase."""
    while word != head:
        above, relation = sentence.heads[word - 1], sentence.relations[word - 1]
        possessive = relation == "case" and above != ROOT and sentence.relations[above - 1] == "nmod:poss"
        modifier = relation == "punct" and above not in (ROOT, head)
        allowed = relation in INSIDE_NOUN_PHRASE and (relation != "advmod" or above != head)
        if above == ROOT or not (allowed or possessive or modifier):
            return False
        word = above
    return True
