"""What is derived from a tree follows the stated rules."""

import random
import subprocess
import sys

from examples.train.templates import expand_intents
from examples.train.trees import Sentence, chunk_tags, encode_tree, subjects_and_objects

SENTENCE = Sentence(
    words=("My", "neighbour", "'s", "very", "old", "dog", "sees", "the", "cat", "of", "Anna"),
    upos=("PRON", "NOUN", "PART", "ADV", "ADJ", "NOUN", "VERB", "DET", "NOUN", "ADP", "PROPN"),
    heads=(2, 6, 2, 5, 6, 7, 0, 9, 7, 11, 9),
    relations=("nmod:poss", "nmod:poss", "case", "advmod", "amod", "nsubj", "root", "det", "obj", "case", "nmod"),
)


def test_labels_count_words_of_the_heads_tag() -> None:
    """The head is named by its tag and how many words of that tag lie on the way."""
    labels = encode_tree(SENTENCE)

    assert labels[:3] == ["+1@NOUN@nmod", "+1@NOUN@nmod", "-1@NOUN@case"]
    assert labels[5:7] == ["+1@VERB@nsubj", "0@ROOT@root"]
    assert labels[10] == "-1@NOUN@nmod"


def test_noun_phrases_stop_at_verbs_and_prepositions() -> None:
    """Possessors and modifiers are inside of a phrase, prepositional phrases outside."""
    tags = chunk_tags(SENTENCE)

    assert ["B-NP", *["I-NP"] * 5, "O", "B-NP", "I-NP", "O", "B-NP"] == tags


def test_questions_ask_for_subject_and_object() -> None:
    """The answers are the noun phrases of the verb's arguments."""
    assert list(subjects_and_objects(SENTENCE)) == [("subject", "sees", 1, 6), ("object", "sees", 8, 9)]


def test_verbs_that_occur_twice_are_not_asked_about() -> None:
    """A question must name one verb."""
    twice = Sentence(("I", "see", "see"), ("PRON", "VERB", "VERB"), (2, 0, 2), ("nsubj", "root", "ccomp"))

    assert list(subjects_and_objects(twice)) == []


def test_templates_are_written_out_by_their_notation() -> None:
    """Options, alternatives, orders, rules and values all come out as words."""
    catalogue = {
        "intents": {"Light": {"data": [{"sentences": ["[please] <on>", "({n:level};set)"]}]}},
        "expansion_rules": {"on": "(switch|turn) on"},
        "lists": {"n": {"range": {"from": 7, "to": 7}}},
    }
    expected = {"switch on", "turn on", "please switch on", "please turn on", "7 set", "set 7"}

    texts = {text for _, _, text in expand_intents(catalogue, random.Random(1))}

    assert texts <= expected
    assert {"7 set", "set 7"} <= texts


def test_the_decoder_imports_no_model_library() -> None:
    """A client can draw trees without torch or transformers installed."""
    code = "import sys, examples.parse_tree; sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
