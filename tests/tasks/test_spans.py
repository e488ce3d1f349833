"""Tags merged into spans."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.tasks.spans import merge_tags

BIO = ("O", "B-x", "I-x", "B-y", "I-y")
IOBES = (*BIO, "E-x", "S-x", "E-y", "S-y")
BILOU = (*BIO, "L-x", "U-x")
PLAIN = ("O", "x", "y")


@pytest.mark.parametrize(
    ("tags", "labels", "expected"),
    [
        ("", BIO, []),
        ("O O", BIO, []),
        ("B-x I-x O", BIO, [("x", 0, 2)]),
        ("B-x B-x", BIO, [("x", 0, 1), ("x", 1, 2)]),
        ("B-x I-y", BIO, [("x", 0, 1), ("y", 1, 2)]),
        ("O I-x I-x", BIO, [("x", 1, 3)]),
        ("I-x I-x B-x O", BIO, [("x", 0, 2), ("x", 2, 3)]),
        ("B-x E-x S-y", IOBES, [("x", 0, 2), ("y", 2, 3)]),
        ("B-x E-x E-x", IOBES, [("x", 0, 2), ("x", 2, 3)]),
        ("S-x I-x", IOBES, [("x", 0, 1), ("x", 1, 2)]),
        ("B-x I-x L-x U-x O", BILOU, [("x", 0, 3), ("x", 3, 4)]),
        ("x x O y", PLAIN, [("x", 0, 2), ("y", 3, 4)]),
    ],
)
def test_tags_merge_into_spans(tags, labels, expected):
    assert expected == [(span.label, span.first, span.end) for span in merge_tags(tags.split(), labels)]


def test_a_plain_scheme_whose_label_looks_prefixed_stays_plain():
    found = list(merge_tags(["B-52", "plane"], ["B-52", "plane", "O"]))

    assert [span.label for span in found] == ["B-52", "plane"]


@given(st.lists(st.sampled_from(IOBES)))
def test_spans_cover_each_tag_inside_exactly_once(tags):
    covered = [i for span in merge_tags(tags, IOBES) for i in range(span.first, span.end)]

    assert [i for i, tag in enumerate(tags) if tag != "O"] == covered
