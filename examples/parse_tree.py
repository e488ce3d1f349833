"""Dependency trees from word labels, and their drawing: pure Python, no model library.

A parser adapter tags each word with a label such as `-1@VERB@nsubj`: the head is the first word tagged VERB to the
left, the relation is nsubj. `+2@NOUN@det` points at the second NOUN to the right, and `0@ROOT@root` marks the root.
This module turns ranked labels into a tree. It knows nothing of models or servers.

Sources: the labels are the relative part-of-speech encoding of Strzyz, Vilares and Gómez-Rodríguez, "Viable Dependency
Parsing as Sequence Labeling", NAACL 2019; the decoder is Chu and Liu (1965) and Edmonds (1967), with the one-root
constraint by a penalty on root arcs as discussed by Zmigrod, Vieira and Cotterell, "Please Mind the Root", EMNLP 2020.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROOT_LABEL = "0@ROOT@root"
ROOT = 0

# An arc that no label proposed must stay possible, or some sentences would have no tree; it must also lose to any
# proposed one, and the nearer head should win where nothing else decides.
_UNPROPOSED = math.log(1e-7)
_PER_WORD_APART = 0.01
_SMALLEST = 1e-6
# More than all other arcs of a sentence can add up to, so that the best graph has as few roots as possible: one.
_ROOT_PENALTY = 1e6


@dataclass(frozen=True)
class Arc:
    """One word's place in a tree. Words count from 1 and head 0 is the root, as in CoNLL-U."""

    dependent: int
    head: int
    relation: str


def format_label(steps: int, upos: str, relation: str) -> str:
    """Write a label: the head is the `steps`-th word tagged `upos`, to the left if negative."""
    return f"{steps:+d}@{upos}@{relation}"


def resolve_head(label: str, dependent: int, upos: Sequence[str]) -> int | None:
    """Return the head that `label` names for word `dependent` (from 1), or None where it points at no word."""
    if label == ROOT_LABEL:
        return ROOT
    steps, tag, _ = _split_label(label)
    positions = range(dependent - 1, 0, -1) if steps < 0 else range(dependent + 1, len(upos) + 1)
    matches = [position for position in positions if upos[position - 1] == tag]
    return matches[abs(steps) - 1] if 0 < abs(steps) <= len(matches) else None


def decode_tree(alternatives: Sequence[Sequence[tuple[str, float]]], upos: Sequence[str]) -> list[Arc]:
    """Find the most probable well-formed tree: exactly one root, no cycle, every word in it.

    Args:
        alternatives: for each word, labels with their probabilities in 0..1, in any order; may be empty for a word.
        upos: for each word, the part of speech that the labels count by (predicted tags will do).

    Returns:
        One arc per word, in the order of the words.

    Raises:
        ValueError: the two arguments differ in length, or a label is not of the form `steps@TAG@relation`.
    """
    if len(alternatives) != len(upos):
        raise ValueError(f"{len(alternatives)} words have labels but {len(upos)} have tags")
    if not upos:
        return []
    proposals = [_proposed_heads(labels, word, upos) for word, labels in enumerate(alternatives, start=1)]
    scores = {word: _arc_scores(heads, word, len(upos)) for word, heads in enumerate(proposals, start=1)}
    heads = _best_arborescence(scores)
    return [Arc(word, heads[word], _relation(proposals[word - 1], heads[word])) for word in sorted(heads)]


def draw_tree(words: Sequence[str], arcs: Sequence[Arc]) -> str:
    """Draw a tree for a terminal: one word per line, a word's left dependents above it and right ones below.

    The lines keep the order of the sentence unless arcs cross; the relation stands in the right column.
    """
    children: dict[int, list[Arc]] = {position: [] for position in range(len(words) + 1)}
    for arc in sorted(arcs, key=lambda arc: arc.dependent):
        children[arc.head].append(arc)
    lines = [line for root in children[ROOT] for line in _draw_word(root, words, children)[0]]
    width = max((len(text) for text, _ in lines), default=0)
    return "\n".join(f"{text:<{width}}  {relation}" for text, relation in lines)


def _split_label(label: str) -> tuple[int, str, str]:
    parts = label.split("@")
    try:
        steps, tag, relation = parts
        return int(steps), tag, relation
    except ValueError as error:
        raise ValueError(f"not a parse label: {label!r}") from error


def _proposed_heads(
    labels: Sequence[tuple[str, float]], dependent: int, upos: Sequence[str]
) -> dict[int, dict[str, float]]:
    """Group a word's labels by the head they point at: head → relation → probability."""
    heads: dict[int, dict[str, float]] = {}
    for label, probability in labels:
        head = resolve_head(label, dependent, upos)
        if head is not None:
            relations = heads.setdefault(head, {})
            relation = _split_label(label)[2]
            relations[relation] = relations.get(relation, 0.0) + probability
    return heads


def _arc_scores(proposed: Mapping[int, Mapping[str, float]], dependent: int, num_words: int) -> dict[int, float]:
    """Give every possible head of a word a log score: the sum over the labels that point at it, or a floor."""
    scores = {
        head: _UNPROPOSED - _PER_WORD_APART * abs(head - dependent)
        for head in range(num_words + 1)
        if head != dependent
    }
    for head, relations in proposed.items():
        scores[head] = math.log(max(sum(relations.values()), _SMALLEST))
    scores[ROOT] -= _ROOT_PENALTY
    return scores


def _relation(proposed: Mapping[int, Mapping[str, float]], head: int) -> str:
    """Choose the likeliest relation for a head; UD's catch-all `dep` where no label proposed that head."""
    if head == ROOT:
        return "root"
    relations = {name: score for name, score in proposed.get(head, {}).items() if name != "root"}
    return max(relations, key=relations.__getitem__) if relations else "dep"


def _best_arborescence(scores: Mapping[int, Mapping[int, float]]) -> dict[int, int]:
    """Find the spanning tree from ROOT with the largest sum of arc scores (Chu-Liu/Edmonds).

    Args:
        scores: dependent → head → score; every node but ROOT is a key.

    Returns:
        dependent → head.
    """
    best = {node: max(heads, key=heads.__getitem__) for node, heads in scores.items()}
    cycle = _find_cycle(best)
    if not cycle:
        return best
    merged = max(scores) + 1
    contracted, origins = _contract(scores, best, cycle, merged)
    return _expand(_best_arborescence(contracted), origins, best, cycle, merged)


def _find_cycle(heads: Mapping[int, int]) -> set[int]:
    done: set[int] = set()
    for start in heads:
        path: list[int] = []
        node = start
        while node in heads and node not in done:
            done.add(node)
            path.append(node)
            node = heads[node]
        if node in path:
            return set(path[path.index(node) :])
    return set()


def _contract(
    scores: Mapping[int, Mapping[int, float]], best: Mapping[int, int], cycle: set[int], merged: int
) -> tuple[dict[int, dict[int, float]], dict[tuple[int, int], tuple[int, int]]]:
    """Make one node of a cycle; `origins` tells which arc (dependent, head) each arc at that node stands for."""
    contracted: dict[int, dict[int, float]] = {merged: {}}
    origins: dict[tuple[int, int], tuple[int, int]] = {}
    for node, heads in scores.items():
        target = merged if node in cycle else node
        row = contracted.setdefault(target, {})
        # Entering the cycle at `node` gives up the arc that the cycle had there.
        given_up = heads[best[node]] if node in cycle else 0.0
        for head, score in heads.items():
            source = merged if head in cycle else head
            if source != target and score - given_up > row.get(source, -math.inf):
                row[source] = score - given_up
                origins[target, source] = (node, head)
    return contracted, origins


def _expand(
    heads: Mapping[int, int],
    origins: Mapping[tuple[int, int], tuple[int, int]],
    best: Mapping[int, int],
    cycle: set[int],
    merged: int,
) -> dict[int, int]:
    """Put the cycle's own nodes back: all keep their arc but the one at which the tree enters the cycle."""
    tree = {node: best[node] for node in cycle}
    for target, source in heads.items():
        node, head = origins.get((target, source), (target, source))
        tree[node] = head
    tree.pop(merged, None)
    return tree


def _draw_word(
    arc: Arc, words: Sequence[str], children: Mapping[int, Sequence[Arc]]
) -> tuple[list[tuple[str, str]], int]:
    """Return the lines (text, relation) of a word with all below it in the tree, and the index of its own line."""
    position = arc.dependent
    left = [_draw_word(child, words, children) for child in children[position] if child.dependent < position]
    right = [_draw_word(child, words, children) for child in children[position] if child.dependent > position]
    lines: list[tuple[str, str]] = []
    for number, (block, own) in enumerate(left):
        first = number == 0
        lines += _indent(block, own, "   " if first else "│  ", "┌─ " if first else "├─ ", "│  ")
    own_line = len(lines)
    lines.append((words[position - 1], arc.relation))
    for number, (block, own) in enumerate(right, start=1):
        last = number == len(right)
        lines += _indent(block, own, "│  ", "└─ " if last else "├─ ", "   " if last else "│  ")
    return lines, own_line


def _indent(block: list[tuple[str, str]], own: int, above: str, at: str, below: str) -> list[tuple[str, str]]:
    margins = [above] * own + [at] + [below] * (len(block) - own - 1)
    return [(margin + text, relation) for margin, (text, relation) in zip(margins, block, strict=True)]
