"""Score a trained adapter on rows it has not seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from examples.parse_tree import decode_tree
from examples.train.batching import Item
from examples.train.rows import QuestionRow, Row, TaggedRow, TextRow, only
from examples.train.tasks import TASKS, Kind
from examples.train.training import MAX_TOKENS, Trained, load_adapter, predict
from examples.train.trees import Sentence

# How many labels per word the tree is decoded from; a client should ask the server for as many.
ALTERNATIVES = 12
LONGEST_ANSWER_TOKENS = 16


@dataclass(frozen=True)
class Scores:
    """What was measured on `num_rows` rows: the first of `values` is the one to judge by; `baseline` says in words
    what costs nothing."""

    num_rows: int
    values: dict[str, float] = field(default_factory=dict)
    baseline: str = ""

    def __str__(self) -> str:
        measured = ", ".join(f"{name} {value:.3f}" for name, value in self.values.items())
        return f"{measured} ({self.num_rows} rows; {self.baseline})"


def evaluate(trained: Trained, rows: Sequence[Row]) -> Scores:
    """Score by what the task asks for: accuracy, correlation, span F1 or exact answers."""
    items = trained.items(rows, MAX_TOKENS)
    logits = predict(trained, [item for item in items if item is not None])
    match trained.task.kind:
        case Kind.SCORE:
            return _score_numbers(logits, only(TextRow, rows))
        case Kind.CLASSIFY:
            return _score_classes(trained.labels, logits, only(TextRow, rows))
        case Kind.TAG:
            return _score_tags(trained.labels, logits, only(TaggedRow, rows))
        case Kind.ANSWER:
            return _score_answers(logits, items, only(QuestionRow, rows))


def evaluate_trees(parser: Trained, sentences: Sequence[Sentence], pos_folder: Path) -> Scores:
    """Score decoded trees with predicted parts of speech, over all words, punctuation included.

    UAS counts right heads, LAS right heads with the right relation, subtypes left out.
    """
    rows = [TaggedRow(sentence.words, sentence.upos) for sentence in sentences]
    tagger = load_adapter(TASKS["pos"], pos_folder)
    heads = labelled = total = 0
    pairs = zip(sentences, predict_tags(tagger, rows), predict_alternatives(parser, rows), strict=True)
    for sentence, upos, alternatives in pairs:
        arcs = decode_tree(alternatives, upos)
        total += len(sentence.words)
        for arc, head, relation in zip(arcs, sentence.heads, sentence.relations, strict=True):
            heads += arc.head == head
            labelled += arc.head == head and arc.relation == relation.split(":")[0]
    to_the_left = sum(head == word - 1 for s in sentences for word, head in enumerate(s.heads, start=1))
    return Scores(
        len(sentences),
        {"UAS": heads / total, "LAS": labelled / total},
        f"the word before as head gives UAS {to_the_left / total:.3f}",
    )


def predict_tags(tagger: Trained, rows: Sequence[TaggedRow]) -> list[list[str]]:
    """Return the best label of each word; a word past the length limit gets `X`."""
    best = predict_alternatives(tagger, rows, count=1)
    return [[labels[0][0] if labels else "X" for labels in words] for words in best]


def predict_alternatives(
    tagger: Trained, rows: Sequence[TaggedRow], count: int = ALTERNATIVES
) -> list[list[list[tuple[str, float]]]]:
    """Return the best labels of each word with their probabilities; none for words past the length limit."""
    items = [item for item in tagger.items(rows, MAX_TOKENS) if item is not None]
    answers = []
    for row, logits in zip(rows, predict(tagger, items), strict=True):
        top = logits.softmax(-1).topk(min(count, len(tagger.labels)))
        words = [
            [(tagger.labels[index], score) for score, index in zip(scores, indices, strict=True)]
            for scores, indices in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ]
        answers.append(words + [[]] * (len(row.words) - len(words)))
    return answers


def tag_spans(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Read BIO tags as (first, past the last, kind); an I that continues nothing of its kind begins a span."""
    spans, start, kind = set(), 0, ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if kind and not (prefix == "I" and name == kind):
            spans.add((start, position, kind))
            kind = ""
        if prefix in "BI" and not kind and name:
            start, kind = position, name
    return spans


def _score_numbers(predictions: Sequence[Tensor], rows: Sequence[TextRow]) -> Scores:
    predicted = torch.stack([logits[0] for logits in predictions]).double()
    gold = torch.tensor([float(row.target) for row in rows], dtype=torch.double)
    pearson = torch.corrcoef(torch.stack([predicted, gold]))[0, 1].item()
    error, constant = (predicted - gold).abs().mean().item(), (gold - gold.median()).abs().mean().item()
    values = {"Pearson's r": pearson, "mean absolute error": error}
    return Scores(len(rows), values, f"always the median has a mean absolute error of {constant:.3f}")


def _score_classes(labels: Sequence[str], predictions: Sequence[Tensor], rows: Sequence[TextRow]) -> Scores:
    predicted = [labels[int(logits.argmax())] for logits in predictions]
    gold = [str(row.target) for row in rows]
    right = Counter(label for label, other in zip(predicted, gold, strict=True) if label == other)
    counts = Counter(predicted) + Counter(gold)
    macro = sum(2 * right[label] / counts[label] for label in set(gold)) / len(set(gold))
    most = Counter(gold).most_common(1)[0][1] / len(gold)
    values = {"accuracy": right.total() / len(gold), "macro F1": macro}
    return Scores(len(rows), values, f"always the most frequent class gives {most:.3f}")


def _score_tags(labels: Sequence[str], predictions: Sequence[Tensor], rows: Sequence[TaggedRow]) -> Scores:
    predicted = [[labels[index] for index in logits.argmax(-1).tolist()] for logits in predictions]
    pairs = [pair for tags, row in zip(predicted, rows, strict=True) for pair in zip(tags, row.tags, strict=False)]
    total = sum(len(row.tags) for row in rows)
    accuracy = sum(tag == gold for tag, gold in pairs) / total
    most = Counter(tag for row in rows for tag in row.tags).most_common(1)[0][1] / total
    baseline = f"always the most frequent tag gives an accuracy of {most:.3f}"
    if "O" not in labels:
        return Scores(len(rows), {"accuracy": accuracy}, baseline)
    found, gold = [tag_spans(tags) for tags in predicted], [tag_spans(row.tags) for row in rows]
    hits = sum(len(one & other) for one, other in zip(found, gold, strict=True))
    f1 = 2 * hits / (sum(map(len, found)) + sum(map(len, gold)))
    return Scores(len(rows), {"span F1": f1, "tag accuracy": accuracy}, baseline)


def _score_answers(predictions: Sequence[Tensor], items: Sequence[Item | None], rows: Sequence[QuestionRow]) -> Scores:
    """SQuAD's two measures (Rajpurkar et al., 2016): the same text, and the overlap of words."""
    remaining = iter(predictions)
    answers = [
        "" if item is None else _best_span(next(remaining), item, row) for item, row in zip(items, rows, strict=True)
    ]
    gold = [row.context[row.start : row.end] for row in rows]
    exact = sum(_same(answer, other) for answer, other in zip(answers, gold, strict=True)) / len(rows)
    overlap = sum(_word_f1(answer, other) for answer, other in zip(answers, gold, strict=True)) / len(rows)
    guess = sum(_same(row.guess, other) for row, other in zip(rows, gold, strict=True)) / len(rows)
    baseline = f"the word before the verb as subject, after it as object, gives {guess:.3f} exact matches"
    return Scores(len(rows), {"exact match": exact, "word F1": overlap}, baseline)


def _best_span(logits: Tensor, item: Item, row: QuestionRow) -> str:
    """Take the span of the context with the largest sum of start and end logits."""
    context = [at for at, span in enumerate(item.offsets) if span is not None]
    first, last = context[0], context[-1] + 1
    sums = logits[0, first:last, None] + logits[1, None, first:last]
    allowed = torch.ones_like(sums).triu().tril(LONGEST_ANSWER_TOKENS - 1).bool()
    start, end = divmod(int(sums.masked_fill(~allowed, -torch.inf).argmax()), last - first)
    return row.context[item.offsets[first + start][0] : item.offsets[first + end][1]]  # type: ignore[index]


def _same(answer: str, gold: str) -> bool:
    return answer.lower().split() == gold.lower().split()


def _word_f1(answer: str, gold: str) -> float:
    found, expected = Counter(answer.lower().split()), Counter(gold.lower().split())
    common = (found & expected).total()
    return 2 * common / (found.total() + expected.total())
