"""Filters of listings: right by a slow reference, refused with a position, and quick whatever they hold."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.filters import MAX_DEPTH, MAX_FILTER_CHARACTERS, _tokens, parse
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import AdapterSpec, AdapterState, ExecutorKind, ProblemType, Task
from tests.adapters.builders import unhurried

SENTIMENT = AdapterRecord(
    id="sentiment",
    state=AdapterState.READY,
    uri="/models/sentiment",
    revision="0123456789abcdef" * 4,
    spec=AdapterSpec(
        Task.SEQUENCE_CLASSIFICATION,
        ProblemType.SINGLE_LABEL,
        ("joy", "deep sorrow"),
        "LORA",
        8,
        ("key", "query"),
        4096,
        ExecutorKind.BANK,
    ),
    weight=2.5,
    pinned=True,
    metadata={"tenant": "acme", "team.name": 'a "b" \\ c*'},
)
LOADING = AdapterRecord(id="pos", state=AdapterState.LOADING, uri="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        'state = READY AND metadata.tenant = "acme" AND peft_type != OFT',
        "id=sentiment",
        'id = "sentiment"',
        "id : sentiment",
        "id = sent*",
        'id = "sent*"',
        "id = *",
        "task:SEQUENCE_CLASSIFICATION",
        "task = SEQ*",
        "problem_type = SINGLE_LABEL",
        "executor = BANK",
        "rank = 8",
        "rank:8.0",
        "rank != 9",
        "rank > 7.5 AND rank >= 8 AND rank < 9 AND rank <= 8",
        "size_bytes >= 4096",
        "weight = 2.5",
        "weight > -1",
        "labels:joy",
        'labels:"deep sorrow"',
        "target_modules:query",
        "revision = 01234567*",
        "uri = /models/*",
        "pinned = true",
        "NOT pinned = false",
        "metadata:tenant",
        "metadata:team.*",
        "metadata.tenant:*",
        r'metadata.team.name = "a \"b\" \\ c\*"',
        r'metadata.team.name = "a \"b*"',
        "((state = READY))",
        "NOT (state = LOADING OR id = pos)",
    ],
)
def test_a_filter_finds_what_it_describes_and_its_negation_does_not(text: str) -> None:
    assert parse(text)(SENTIMENT)
    if text.strip():
        assert not parse(f"NOT ({text})")(SENTIMENT)


@pytest.mark.parametrize(
    "text",
    [
        "id = Sentiment",
        "id = sentimen",
        "id = sentiment2*",
        "id = entiment*",
        "state = LOADING",
        "rank > 8",
        "rank < 8",
        "rank >= 8.5",
        "rank <= 7",
        "labels:sorrow",
        "metadata:ten",
        "metadata.tenant = acm",
        "metadata.nobody:*",
        "metadata.tenant != acme",
        r'id = "sent\*"',
        "pinned = false",
    ],
)
def test_a_filter_finds_nothing_else(text: str) -> None:
    assert not parse(text)(SENTIMENT)


@pytest.mark.parametrize(
    "comparison",
    ["task = TOKEN_CLASSIFICATION", "peft_type = LORA", "rank = 0", "revision = 0*", "uri = /*", "metadata.tenant = x"],
)
def test_what_is_not_set_equals_nothing(comparison: str) -> None:
    assert not parse(comparison)(LOADING)
    assert parse(comparison.replace("=", "!="))(LOADING)


@pytest.mark.parametrize(
    "text", ["rank < 1", "rank >= 0", "size_bytes <= 0", "labels:*", "metadata:*", "task:*", "uri:*", "revision:*"]
)
def test_what_is_not_set_has_no_order_and_holds_nothing(text: str) -> None:
    assert not parse(text)(LOADING)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("id = x AND id = x OR id = sentiment", False),
        ("(id = x AND id = x) OR id = sentiment", True),
        ("id = sentiment OR id = x AND id = x", False),
        ("NOT id = x OR id = sentiment", True),
        ("NOT id = sentiment OR id = sentiment", True),
        ("NOT (id = sentiment OR id = sentiment)", False),
    ],
)
def test_or_binds_tighter_than_and_and_not_tighter_still(text: str, passes: bool) -> None:
    assert passes == parse(text)(SENTIMENT)


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("stat = READY", 1, "fields id, state, "),
        ("metadata. = x", 1, "metadata.KEY"),
        ("state", 6, "one of = != :, not the end"),
        ("state READY", 7, "one of = != :"),
        ("state < READY", 7, "one of = != :, not '<'"),
        ("labels = joy", 8, "one of :, not '='"),
        ("rank ~ 8", 6, "one of = != : < <= > >=, not '~'"),
        ("  state = ", 11, 'a word or a "string", not the end'),
        ("state = AND", 9, 'a word or a "string"'),
        ("state = (READY)", 9, 'a word or a "string"'),
        ("state = ready", 9, "one of LOADING, READY, "),
        ('executor = "BANK "', 13, "one of BANK, SWITCH"),
        ("pinned = yes", 10, "one of true, false"),
        ("rank = eight", 8, "a number such as 8 or 0.5"),
        ("rank = nan", 8, "a number"),
        ("rank = 8*", 8, "a number"),
        ("rank = ٣", 8, "a number"),
        ("id = a id = b", 8, "AND, OR or the end, not 'id'"),
        ("id = a and id = b", 8, "AND, OR or the end, not 'and'"),
        ("id = a AND", 11, "a field, NOT or (, not the end"),
        ("AND id = a", 1, "a field, NOT or ("),
        ("NOT NOT id = a", 5, "a field, NOT or ("),
        ("(id = a", 8, "AND, OR or ), not the end"),
        ("id = a)", 7, "AND, OR or the end"),
        ("()", 2, "a field, NOT or ("),
        ('id = "a', 6, "not '\"'"),
        ('id = "a\\"', 6, "not '\"'"),
        ("id = 'a'", 6, 'a word or a "string"'),
        ("id = a*b", 6, "no * but at its end"),
        ("id = a; DROP", 7, "AND, OR or the end, not ';'"),
        ('"id" = a', 2, "a field"),
        ("\0", 1, "a field"),
    ],
)
def test_a_refusal_says_where_and_what_would_do(text: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(expected)) as caught:
        parse(text)

    ((field, problem),) = caught.value.violations
    assert ("filter", f"at character {position}") == (field, problem.partition(":")[0])
    # As much as a status keeps of a description.
    assert len(problem) <= 256


def test_length_and_depth_have_limits() -> None:
    long, deep = "id = " + "a" * (MAX_FILTER_CHARACTERS - 5), "(" * MAX_DEPTH + "id = a" + ")" * MAX_DEPTH

    assert not parse(long)(SENTIMENT)
    assert not parse(f"{deep} OR {deep}")(SENTIMENT)
    with pytest.raises(InvalidRequestError, match="has 1025 characters, allowed are 1024"):
        parse(long + "a")
    with pytest.raises(InvalidRequestError, match=r"at character 17: expected at most 16 parentheses"):
        parse(f"({deep})")


FACTS: Mapping[str, Callable[[AdapterRecord], bool]] = {
    "id = a": lambda record: record.id == "a",
    "state != READY": lambda record: record.state is not AdapterState.READY,
    "weight > 1": lambda record: record.weight > 1,
    "pinned = true": lambda record: record.pinned,
    'metadata.k = "v w"': lambda record: record.metadata.get("k") == "v w",
}
Tree = tuple[str, Callable[[AdapterRecord], bool]]


def joined(keyword: str, left: Tree, right: Tree) -> Tree:
    combine = all if keyword == "AND" else any
    return f"({left[0]} {keyword} {right[0]})", lambda record: combine((left[1](record), right[1](record)))


def negated(tree: Tree) -> Tree:
    return f"(NOT ({tree[0]}))", lambda record: not tree[1](record)


TREES = st.recursive(
    st.sampled_from(list(FACTS.items())),
    lambda trees: st.builds(joined, st.sampled_from(["AND", "OR"]), trees, trees) | st.builds(negated, trees),
    max_leaves=6,
)
RECORDS = st.builds(
    AdapterRecord,
    id=st.sampled_from("ab"),
    state=st.sampled_from(AdapterState),
    uri=st.just("/a"),
    weight=st.sampled_from([0.5, 1.0, 2.0]),
    pinned=st.booleans(),
    metadata=st.sampled_from([{}, {"k": "v w"}, {"k": "v"}]),
)


@unhurried
@given(TREES, RECORDS)
def test_a_filter_says_what_plain_python_says(tree: Tree, record: AdapterRecord) -> None:
    text, holds = tree

    assert holds(record) == parse(text)(record)


PIECES = [
    "(",
    ")",
    "NOT ",
    "AND ",
    "OR ",
    "id",
    "=",
    "!=",
    "a ",
    "*",
    '"',
    "\\",
    "\\\\",
    '"a"',
    " ",
    "\n",
    "é",
    "id=a ",
]


@pytest.mark.timeout(20)
@unhurried
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.integers(1, 400)), max_size=8), st.text(max_size=40))
def test_any_text_is_understood_or_refused_and_soon(runs: list[tuple[str, int]], rest: str) -> None:
    """Long runs are what makes parsers slow: one that tried anything twice for each would not end in time."""
    text = ("".join(piece * count for piece, count in runs) + rest)[:MAX_FILTER_CHARACTERS]

    with suppress(InvalidRequestError):
        assert parse(text)(SENTIMENT) in (True, False)


def test_nothing_is_read_after_the_first_character_that_can_not_stand_in_a_filter() -> None:
    """Each of these quotes begins a string that doesn't end: looking for all their ends would be quadratic."""
    assert ["other"] == [token.kind for token in _tokens('\\"' * 500)]


class CountingMetadata(dict[str, str]):
    """Counts how often it is asked."""

    num_reads = 0

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.num_reads += 1
        return super().get(key, default)


def test_each_comparison_looks_once() -> None:
    text = " OR ".join(["metadata.k = v"] * 50)
    metadata = CountingMetadata()

    parse(text)(AdapterRecord("a", AdapterState.READY, "/a", metadata=metadata))

    assert 50 == metadata.num_reads
