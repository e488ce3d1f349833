"""Commands that ask adapters: what they print, as JSON and as tables, and what they send."""

import pytest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2, types_pb2
from tests.client.command_line import Run, document, lines
from tests.client.fake_answers import REVISION
from tests.client.fake_server import FakeServer

POSITIVE = [{"label": "positive", "score": 0.75}, {"label": "negative", "score": 0.25}]
TIMINGS = {"queue_seconds": 0.002, "compute_seconds": 0.009}
SENTIMENT = {"id": "sentiment", "revision": REVISION}


def test_classify_prints_one_document(run: Run) -> None:
    """Field names are those of the results; each result is headed by its text."""
    assert document(run("classify", "sentiment", "good film", "--json")) == {
        "results": [
            {
                "input": "good film",
                "labels": POSITIVE,
                "logits": [],
                "problem_type": "SINGLE_LABEL",
                "num_tokens": 4,
                "truncated": False,
            }
        ],
        "adapter": SENTIMENT,
        "timings": TIMINGS,
    }


def test_classify_shows_every_label_of_a_lone_text(run: Run) -> None:
    """A bar is as long as the probability is large."""
    header, best, other = lines(run("classify", "sentiment", "good film"))

    assert header == ["LABEL", "SCORE"]
    assert best == ["positive", "0.750", "━" * 15]
    assert other == ["negative", "0.250", "━" * 5]


def test_classify_shows_a_line_for_each_of_several_texts(run: Run) -> None:
    """In a pipe no line is cut, however long its text, nor padded."""
    text = "good " * 100

    result = run("classify", "sentiment", text, "bad")

    assert [*text.split(), "positive", "0.750", "negative", "0.250"] == lines(result)[1]
    assert ["bad", "negative", "0.750", "positive", "0.250"] == lines(result)[2]
    assert [line for line in result.stdout.splitlines() if line.endswith(" ")] == []


def test_texts_come_from_the_lines_of_stdin(run: Run, server: FakeServer) -> None:
    """Blank lines are passed over; a line ends at a newline and at nothing else."""
    results = document(run("classify", "sentiment", "-", "--json", stdin="one\n\n  \ntwo\u2028still\r\n"))["results"]

    assert [result["input"] for result in results] == ["one", "two\u2028still"]


def test_many_texts_are_asked_in_batches_and_answered_in_one_document(run: Run, server: FakeServer) -> None:
    """Order is kept; waits are the longest, computing is added up."""
    texts = [f"text {number}" for number in range(130)]

    found = document(run("classify", "sentiment", "--json", stdin="\n".join(texts)))

    assert [len(request.inputs) for request in server.script.requests] == [64, 64, 2]  # type: ignore[attr-defined]
    assert [result["input"] for result in found["results"]] == texts
    assert found["timings"] == {"queue_seconds": 0.002, "compute_seconds": pytest.approx(0.027)}


def test_tag_splits_words_at_blanks_where_asked(run: Run, server: FakeServer) -> None:
    """`--as words` sends words, and each has its tag."""
    result = run("tag", "pos", "The  film", "--as", "words")

    assert lines(result) == [["TOKEN", "TAG", "SCORE"], ["The", "DET", "0.875"], ["film", "NOUN", "0.875"]]
    assert server.script.requests[0].inputs[0].words.words == ["The", "film"]  # type: ignore[attr-defined]


def test_tags_of_several_texts_stand_beneath_their_tokens(run: Run) -> None:
    """As in a grammar: a line of tokens, a line of tags."""
    assert lines(run("tag", "pos", "The film", "good")) == [["The", "film"], ["DET", "NOUN"], [], ["good"], ["ADJ"], []]


def test_tag_finds_spans(run: Run) -> None:
    """With their place in the text."""
    assert lines(run("tag", "ner", "The film", "--spans"))[1] == ["The", "film", "all", "0.500", "0–8"]
    assert lines(run("tag", "ner", "The film", "x", "--spans"))[2] == ["x", "x", "all"]


def test_answer_takes_one_context_for_all_questions(run: Run) -> None:
    """The context may come from stdin."""
    result = run("answer", "qa", "Who?", "When?", "--context", "-", "--no-answer", stdin="Ada wrote it")

    assert lines(result) == [
        ["QUESTION", "ANSWER", "SCORE", "WHERE"],
        ["Who?", "Ada", "0.625", "0–3"],
        ["no", "answer", "0.125"],
        ["When?", "Ada", "0.625", "0–3"],
        ["no", "answer", "0.125"],
    ]


def test_answer_takes_a_context_for_each_question(run: Run) -> None:
    """Question and context stand on one line with a tab between them."""
    found = document(run("answer", "qa", "--json", stdin="Who?\tAda did\nWhen?\tYesterday\n"))

    assert [(each["input"], each["answers"][0]["text"]) for each in found["results"]] == [
        ("Who?", "Ada"),
        ("When?", "Yesterday"),
    ]


def test_embed_gives_all_values_as_json_and_a_few_as_a_table(run: Run, server: FakeServer) -> None:
    """Without --adapter it is the base model that answers."""
    found = document(run("embed", "hello", "--json", "--pooling", "max", "--normalize"))

    assert (found["results"][0]["values"], found["adapter"]) == ([0.5, -0.25, 0.0, 5.0], None)
    assert server.script.requests[0] == infer_pb2.EmbedRequest(
        inputs=[infer_pb2.Input(text="hello")],
        options=infer_pb2.EmbedOptions(pooling=infer_pb2.POOLING_MAX, normalize=True),
    )
    assert lines(run("embed", "hello"))[1] == ["hello", "4", "+0.500", "-0.250", "+0.000", "+5.000", "…"]


def test_analyze_shows_all_outcomes_of_a_text_side_by_side(run: Run) -> None:
    """What is said of the text as a whole, then a column for each tagger."""
    result = run("analyze", "good film", "-a", "pos", "-a", "sentiment", "-a", "pos")

    assert lines(result) == [
        ["good", "film"],
        ["sentiment", "positive", "0.750", "negative", "0.250"],
        ["TOKEN", "pos", "pos"],
        ["good", "ADJ", "ADJ"],
        ["film", "NOUN", "NOUN"],
        [],
    ]


def test_analyze_asks_all_ready_adapters_unless_told_otherwise(run: Run, server: FakeServer) -> None:
    """Those for question answering need pairs."""
    qa = adapter_admin_pb2.Adapter(id="qa", state=2, task=types_pb2.TASK_QUESTION_ANSWERING)  # type: ignore[arg-type]
    server.admin.adapters["qa"] = qa

    found = document(run("analyze", "good film", "--json"))["results"][0]["analyses"]
    pairs = document(run("analyze", "Who?\tAda did", "--as", "pair", "--json"))["results"][0]["analyses"]

    assert [each["adapter"]["id"] for each in found] == ["pos", "sentiment"]
    assert found[1]["classification"]["labels"] == POSITIVE
    assert pairs[1]["answer"]["answers"][0]["text"] == "Ada"


def test_analyze_keeps_calls_within_the_servers_bound(run: Run, server: FakeServer) -> None:
    """Tasks times inputs is at most 1,024 in one call."""
    adapters = [argument for number in range(40) for argument in ("-a", f"a{number}")]

    run("analyze", *adapters, stdin="text\n" * 30)

    assert [len(request.inputs) for request in server.script.requests] == [25, 5]  # type: ignore[attr-defined]


def test_tokenize_counts(run: Run) -> None:
    """Special tokens count."""
    assert document(run("tokenize", "Hi", "--json"))["max_tokens"] == 512
    assert lines(run("tokenize", "Hi"))[1] == ["Hi", "2", "0", "[CLS]", "hi"]
