"""Values to classifications, tags, answers and embeddings."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.tasks.answer import answer_result
from adaptermux_server.tasks.classify import classification
from adaptermux_server.tasks.embed import embedding
from adaptermux_server.tasks.inputs import TextInput, WordsInput
from adaptermux_server.tasks.options import AnswerOptions, ClassifyOptions, EmbedOptions, TagOptions
from adaptermux_server.tasks.tag import tagged_sequence
from adaptermux_server.types import ProblemType, Task
from tests.tasks.builders import encode, make_spec

LABELS = ("x", "y", "z")


def values(*rows):
    return np.array(rows, dtype=np.float32)


def classify(logits, trained_as, **options):
    spec = make_spec(Task.SEQUENCE_CLASSIFICATION, LABELS, trained_as)
    return classification(encode(TextInput("a")), values(*logits), spec, ClassifyOptions(**options))


def test_single_label_scores_are_a_softmax_best_first():
    result = classify([0.0, np.log(3.0), 0.0], ProblemType.SINGLE_LABEL)

    assert [label.label for label in result.labels] == ["y", "x", "z"]
    assert pytest.approx([0.6, 0.2, 0.2], abs=1e-6) == [label.score for label in result.labels]


def test_multi_label_scores_are_independent_sigmoids():
    result = classify([0.0, np.log(3.0), -1000.0], ProblemType.MULTI_LABEL)

    assert pytest.approx([0.75, 0.5, 0.0], abs=1e-6) == [label.score for label in result.labels]


def test_regression_keeps_values_in_the_order_of_the_outputs():
    result = classify([-1.5, 7.0, 2.0], ProblemType.REGRESSION)

    assert [(label.label, label.score) for label in result.labels] == [("x", -1.5), ("y", 7.0), ("z", 2.0)]


def test_the_request_may_choose_another_problem_type():
    result = classify([0.0, 0.0, 0.0], ProblemType.SINGLE_LABEL, problem_type=ProblemType.MULTI_LABEL, top_k=1)

    assert [(label.label, label.score) for label in result.labels] == [("x", 0.5)]


def test_logits_come_only_when_asked_for():
    assert classify([1.0, 2.0, 3.0], ProblemType.SINGLE_LABEL).logits == ()
    assert classify([1.0, 2.0, 3.0], ProblemType.SINGLE_LABEL, return_logits=True).logits == (1.0, 2.0, 3.0)


def tag(item, best, labels, **options):
    encoded = encode(item)
    logits = np.zeros((encoded.num_tokens, len(labels)), dtype=np.float32)
    logits[np.arange(encoded.num_tokens), best] = 5.0
    return tagged_sequence(encoded, logits, make_spec(Task.TOKEN_CLASSIFICATION, labels), TagOptions(**options))


def test_each_word_has_the_tag_of_its_first_token():
    result = tag(WordsInput(("the", "cats")), [0, 1, 2, 0, 0], LABELS)

    assert [(t.label, t.text, t.index) for t in result.tags] == [("y", "the", 0), ("z", "cats", 1)]


def test_each_token_of_a_text_has_a_tag_with_its_place():
    result = tag(TextInput("the cats"), [0, 1, 2, 0, 0], LABELS)

    assert [(t.label, t.text, t.start, t.end) for t in result.tags] == [
        ("y", "the", 0, 3),
        ("z", "cat", 4, 7),
        ("x", "s", 7, 8),
    ]


def test_alternatives_are_as_many_as_asked_for_and_begin_with_the_tag():
    result = tag(WordsInput(("the",)), [0, 1, 0], LABELS, num_alternatives=2)

    assert [alternative.label for alternative in result.tags[0].alternatives] == ["y", "x"]


def test_spans_of_a_text_are_pieces_of_it():
    text = "the cats in New York City."
    best = [0, 0, 0, 0, 0, 1, 2, 2, 0, 0]

    result = tag(TextInput(text), best, ("O", "B-place", "I-place"), spans=True)

    assert [(s.label, s.text, s.start, s.end) for s in result.spans] == [("place", "New York City", 12, 25)]
    assert result.tags == ()


def test_spans_of_words_are_positions_of_words():
    result = tag(WordsInput(("in", "new", "york")), [0, 0, 1, 2, 0], ("O", "B-place", "I-place"), spans=True)

    assert [(s.label, s.text, s.start, s.end) for s in result.spans] == [("place", "new york", 1, 3)]


def test_a_word_without_tokens_has_no_tag():
    result = tag(WordsInput(("\x01", "cat")), [0, 1, 0], LABELS)

    assert [(t.text, t.index) for t in result.tags] == [("cat", 1)]


def test_the_best_answer_is_a_piece_of_the_context():
    encoded = encode(TextInput("a", "the cat sitting in new york"))
    logits = np.zeros((2, encoded.num_tokens), dtype=np.float32)
    logits[0, encoded.tokens.index("new")] = logits[1, encoded.tokens.index("york")] = 9.0

    result = answer_result(encoded, logits, AnswerOptions())

    assert [(answer.text, answer.start, answer.end) for answer in result.answers] == [("new york", 19, 27)]


def test_no_answer_is_among_the_answers_only_if_allowed():
    encoded = encode(TextInput("a", "b"))
    logits = np.zeros((2, encoded.num_tokens), dtype=np.float32)
    logits[:, 0] = 9.0

    allowed = answer_result(encoded, logits, AnswerOptions(allow_no_answer=True))
    forbidden = answer_result(encoded, logits, AnswerOptions())

    assert (allowed.answers[0].text, allowed.answers[0].no_answer) == ("", True)
    assert [answer.text for answer in forbidden.answers] == ["b"]


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_answers_are_the_best_of_all_allowed_spans(num_tokens, longest, top_k, seed):
    encoded = encode(TextInput("a", " ".join("b" * num_tokens)))
    logits = np.random.default_rng(seed).normal(size=(2, encoded.num_tokens)).astype(np.float32)
    spans = [(i, j) for i, j in itertools.product(range(3, 3 + num_tokens), repeat=2) if 0 <= j - i < longest]
    expected = sorted((logits[0, i] + logits[1, j] for i, j in spans), reverse=True)[:top_k]

    result = answer_result(encoded, logits, AnswerOptions(top_k=top_k, max_answer_tokens=longest))

    ranks = [encoded.offsets.index((a.start, a.start + 1), 3) for a in result.answers]
    ends = [encoded.offsets.index((a.end - 1, a.end), 3) for a in result.answers]
    found = [logits[0, i] + logits[1, j] for i, j in zip(ranks, ends, strict=True)]
    assert pytest.approx(expected, abs=1e-5) == found


def test_an_embedding_is_scaled_to_length_one_when_asked():
    encoded = encode(TextInput("a"))

    assert embedding(encoded, values(3.0, 4.0), EmbedOptions()).values == (3.0, 4.0)
    assert pytest.approx((0.6, 0.8)) == embedding(encoded, values(3.0, 4.0), EmbedOptions(normalize=True)).values
    assert embedding(encoded, values(0.0, 0.0), EmbedOptions(normalize=True)).values == (0.0, 0.0)
