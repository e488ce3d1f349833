"""The tree decoder answers every input with a tree, and gives back the trees that were encoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.parse_tree import ROOT, ROOT_LABEL, Arc, decode_tree, draw_tree, format_label, resolve_head
from examples.train.trees import Sentence, encode_tree

TAGS = ("NOUN", "VERB", "DET", "PUNCT")
RELATIONS = ("nsubj", "obj", "det")


@st.composite
def trees(draw: st.DrawFn) -> Sentence:
    """Draw a random tree, crossing arcs included: each word hangs on one that was placed before it."""
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(1, size + 1)))
    heads = {order[0]: ROOT}
    for number, word in enumerate(order[1:], start=1):
        heads[word] = order[draw(st.integers(0, number - 1))]
    upos = tuple(draw(st.sampled_from(TAGS)) for _ in range(size))
    relations = tuple(
        "root" if heads[word] == ROOT else draw(st.sampled_from(RELATIONS)) for word in range(1, size + 1)
    )
    return Sentence(("word",) * size, upos, tuple(heads[word] for word in range(1, size + 1)), relations)


labels = st.one_of(
    st.just(ROOT_LABEL),
    st.builds(format_label, st.integers(-3, 3), st.sampled_from(TAGS), st.sampled_from(RELATIONS)),
)
words_with_labels = st.lists(
    st.tuples(st.sampled_from(TAGS), st.lists(st.tuples(labels, st.floats(0, 1)), max_size=5)), max_size=14
)


def assert_is_tree(arcs: list[Arc], size: int) -> None:
    heads = {arc.dependent: arc.head for arc in arcs}
    assert list(range(1, size + 1)) == [arc.dependent for arc in arcs]
    assert (1 if size else 0) == list(heads.values()).count(ROOT)
    assert all(_top(word, heads) == ROOT for word in heads)


def _top(word: int, heads: dict[int, int]) -> int:
    for _ in heads:
        word = heads.get(word, ROOT)
    return word


@given(trees())
def test_decoding_gives_back_the_encoded_tree(sentence: Sentence) -> None:
    """Each word's own label with certainty is enough to rebuild any tree."""
    alternatives = [[(label, 1.0)] for label in encode_tree(sentence)]

    arcs = decode_tree(alternatives, sentence.upos)

    assert sentence.heads == tuple(arc.head for arc in arcs)
    assert sentence.relations == tuple(arc.relation for arc in arcs)


@given(words_with_labels)
def test_any_alternatives_decode_to_one_tree(words: list[tuple[str, list[tuple[str, float]]]]) -> None:
    """Whatever the labels say, there is one root, no cycle, and every word has its place."""
    arcs = decode_tree([alternatives for _, alternatives in words], [tag for tag, _ in words])

    assert_is_tree(arcs, len(words))


@given(trees())
def test_drawing_shows_every_word_once(sentence: Sentence) -> None:
    """A drawing has one line per word."""
    words = [f"w{number}" for number in range(len(sentence.words))]
    arcs = decode_tree([[(label, 1.0)] for label in encode_tree(sentence)], sentence.upos)

    drawn = draw_tree(words, arcs).splitlines()

    assert sorted(words) == sorted(line.split()[-2] for line in drawn)


def test_best_tree_may_overrule_the_best_label_of_a_word() -> None:
    """A cycle of two top labels is broken where it costs least, not by cutting to the root."""
    alternatives = [
        [("+1@VERB@nsubj", 0.9)],
        [("-1@NOUN@obj", 0.5), (ROOT_LABEL, 0.4)],
        [("-1@VERB@obj", 0.6), ("-2@VERB@obj", 0.4)],
    ]

    arcs = decode_tree(alternatives, ["NOUN", "VERB", "NOUN"])

    assert [Arc(1, 2, "nsubj"), Arc(2, 0, "root"), Arc(3, 2, "obj")] == arcs


def test_labels_for_the_same_head_add_up() -> None:
    """Two relations to one head count together against a single rival."""
    alternatives = [
        [(ROOT_LABEL, 1.0)],
        [("-1@VERB@obj", 0.3), ("-1@VERB@obl", 0.3), ("+1@NOUN@compound", 0.4)],
        [("-1@VERB@obl", 1.0)],
    ]

    arcs = decode_tree(alternatives, ["VERB", "NOUN", "NOUN"])

    assert arcs[1].head == 1


@pytest.mark.parametrize(
    ("label", "dependent", "head"),
    [(ROOT_LABEL, 2, 0), ("-1@DET@x", 2, 1), ("+1@DET@x", 2, 3), ("+2@DET@x", 2, None), ("-1@NOUN@x", 2, None)],
)
def test_label_names_its_head(label: str, dependent: int, head: int | None) -> None:
    """Labels count words of one tag, and may point at none."""
    assert head == resolve_head(label, dependent, ["DET", "NOUN", "DET"])


@pytest.mark.parametrize("label", ["", "nsubj", "-1@NOUN", "x@NOUN@obj", "1@2@3@4"])
def test_other_labels_are_refused(label: str) -> None:
    """A label of some other task is an error that names it."""
    with pytest.raises(ValueError, match="not a parse label"):
        decode_tree([[(label, 1.0)]], ["NOUN"])


def test_lengths_must_agree() -> None:
    """Labels and tags describe the same words."""
    with pytest.raises(ValueError, match="1 words have labels but 2 have tags"):
        decode_tree([[]], ["NOUN", "VERB"])


def test_drawing_keeps_the_order_of_the_sentence() -> None:
    """Left dependents stand above their head, right ones below."""
    arcs = [Arc(1, 2, "nsubj"), Arc(2, 0, "root"), Arc(3, 4, "det"), Arc(4, 2, "obj"), Arc(5, 2, "punct")]

    drawn = draw_tree(["She", "saw", "the", "cat", "."], arcs)

    assert drawn.splitlines() == [
        "┌─ She     nsubj",
        "saw        root",
        "│  ┌─ the  det",
        "├─ cat     obj",
        "└─ .       punct",
    ]
