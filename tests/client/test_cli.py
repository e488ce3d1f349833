"""The command line in this process: what it prints, as JSON and as tables, and what it sends."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from typer.testing import CliRunner, Result

from adaptermux.v1 import adapter_admin_pb2, infer_pb2, types_pb2
from adaptermux_client import __version__
from adaptermux_client.cli.app import app
from tests.client.fake_answers import REVISION, UNAVAILABLE, failure
from tests.client.fake_server import FakeServer

Run = Callable[..., Result]

POSITIVE = [{"label": "positive", "score": 0.75}, {"label": "negative", "score": 0.25}]
TIMINGS = {"queue_seconds": 0.002, "compute_seconds": 0.009}
SENTIMENT = {"id": "sentiment", "revision": REVISION}


@pytest.fixture
def run(server: FakeServer) -> Run:
    """Run a command line against the fake server."""
    environment = {"ADAPTERMUX_ADDRESS": server.address, "ADAPTERMUX_ADMIN_ADDRESS": server.address, "COLUMNS": "200"}

    def invoke(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, env=environment)

    return invoke


def document(result: Result) -> Any:
    """The JSON document that a command printed, and nothing else."""
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def lines(result: Result) -> list[list[str]]:
    """The words of each line that a command printed."""
    assert result.exit_code == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]


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
    """No line is cut, however long its text."""
    text = "good " * 100

    result = run("classify", "sentiment", text, "bad")

    assert [*text.split(), "positive", "0.750", "negative", "0.250"] == lines(result)[1]
    assert ["bad", "negative", "0.750", "positive", "0.250"] == lines(result)[2]


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


def test_analyze_without_any_adapter_says_so(run: Run, server: FakeServer) -> None:
    """An empty server isn't a crash."""
    server.admin.adapters.clear()

    result = run("analyze", "text")

    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, "error: no adapter is READY")


def test_tokenize_counts(run: Run) -> None:
    """Special tokens count."""
    assert document(run("tokenize", "Hi", "--json"))["max_tokens"] == 512
    assert lines(run("tokenize", "Hi"))[1] == ["Hi", "2", "0", "[CLS]", "hi"]


def test_model_and_status_are_documents_too(run: Run) -> None:
    """Times are ISO 8601."""
    assert document(run("model", "--json"))["hidden_size"] == 384
    assert document(run("status", "--json"))["start_time"] == "2023-11-14T22:13:20+00:00"


def test_status_compares_traversals_with_the_order_of_arrival(run: Run) -> None:
    """The figure that the scheduler is judged by."""
    words = lines(run("status"))

    assert ["traversals", "12", "made", "·", "480", "in", "the", "order", "of", "arrival", "(2.5%)"] in words
    assert ["pos", "3", "4.0", "ms"] in words


def test_adapters_list_walks_over_all_pages(run: Run, server: FakeServer) -> None:
    """One document with every adapter."""
    server.admin.adapters["third"] = adapter_admin_pb2.Adapter(id="third", state=5)  # type: ignore[arg-type]

    found = document(run("adapters", "list", "--json"))["adapters"]

    assert [(each["id"], each["state"]) for each in found] == [
        ("pos", "READY"),
        ("sentiment", "READY"),
        ("third", "FAILED"),
    ]
    assert lines(run("adapters", "list"))[2][:7] == [
        "sentiment",
        "READY",
        "sequence",
        "classification",
        "LORA",
        "r=8",
        "2",
    ]


def test_adapters_show_tells_why_a_load_failed(run: Run, server: FakeServer) -> None:
    """In the table as in the document."""
    broken = adapter_admin_pb2.Adapter(id="broken", state=5)  # type: ignore[arg-type]
    broken.error.CopyFrom(failure(grpc.StatusCode.FAILED_PRECONDITION, "w: shape", "BASE_MISMATCH", {"tensor": "w"}))
    server.admin.adapters["broken"] = broken

    assert ["error", "BASE_MISMATCH:", "w:", "shape"] in lines(run("adapters", "show", "broken"))
    assert document(run("adapters", "show", "broken", "--json"))["error"] == {
        "code": "FAILED_PRECONDITION",
        "reason": "BASE_MISMATCH",
        "message": "w: shape",
        "metadata": {"tensor": "w"},
    }


def test_adapters_load_takes_a_relative_path_from_here(
    run: Run, server: FakeServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URI is sent as it is."""
    monkeypatch.chdir(tmp_path)

    result = run("adapters", "load", "new", "folder", "--label", "no", "--label", "yes", "--weight", "2")
    run("adapters", "load", "new", "file:///a/b", "--check")

    assert "loaded new@3fa9c1d2 · sequence classification · 2 labels · LORA r=8 · 598.0 KiB\n" == result.stdout
    assert [request.uri for request in server.script.requests] == [  # type: ignore[attr-defined]
        str(tmp_path / "folder"),
        "file:///a/b",
    ]
    assert server.script.requests[0].labels == ["no", "yes"]  # type: ignore[attr-defined]


def test_adapters_unload_sends_its_options(run: Run, server: FakeServer) -> None:
    """And says what it did."""
    result = run("adapters", "unload", "pos", "--force", "--drain-timeout", "2")

    assert result.stdout == "unloaded pos\n"
    assert server.script.requests[0].force  # type: ignore[attr-defined]
    assert server.script.requests[0].drain_timeout.seconds == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("classify", "sentiment"), "\n\n", "stdin has no text"),
        (("classify", "sentiment"), b"\xff\xfe", "stdin isn't UTF-8"),
        (("classify", "sentiment", "no tab", "--as", "pair"), "", "a tab between"),
        (("answer", "qa", "Who?"), "", "a tab between"),
        (("classify", "sentiment", "\udc80"), "", "a text isn't UTF-8"),
        (("classify",), "", "Missing argument"),
        (("classify", "sentiment", "x", "--top-k", "-1"), "", "greater than or equal to 0"),
        (("adapters", "load", "new"), "", "Missing argument"),
        (("nonsense",), "", "No such command"),
    ],
)
def test_wrong_usage_exits_with_2_and_sends_nothing(
    run: Run, server: FakeServer, arguments: tuple[str, ...], stdin: str | bytes, message: str
) -> None:
    """The message says what is wrong."""
    result = run(*arguments, stdin=stdin)

    assert (result.exit_code, server.script.requests) == (2, [])
    assert message in " ".join(result.stderr.split())


def test_an_error_is_one_clear_line_and_its_facts(run: Run) -> None:
    """Nothing goes to stdout, where a pipe would take it for an answer."""
    result = run("classify", "unknown", "x", "--json")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: no adapter 'unknown' is loaded; did you mean sentiment?",
        "       ADAPTER_NOT_FOUND  adapter=unknown  similar=sentiment",
    ]


@pytest.mark.parametrize(
    ("code", "reason", "retry_seconds", "exit_code", "advice"),
    [
        ("INVALID_ARGUMENT", "INVALID_REQUEST", None, 1, "INVALID_REQUEST"),
        ("FAILED_PRECONDITION", "ADAPTER_NOT_READY", 0.5, 1, "retry in 0.5 s"),
        ("UNIMPLEMENTED", "", None, 1, "--admin-address the admin one"),
        ("DEADLINE_EXCEEDED", "DRAIN_TIMEOUT", None, 1, "DRAIN_TIMEOUT"),
        ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", None, 5, "DEADLINE_EXCEEDED"),
        ("DEADLINE_EXCEEDED", "", None, 5, "--timeout gives it more"),
        ("UNAVAILABLE", "SHUTTING_DOWN", None, 4, "SHUTTING_DOWN"),
    ],
)
def test_the_exit_code_tells_kinds_of_failures_apart(  # noqa: PLR0917
    run: Run,
    server: FakeServer,
    code: str,
    reason: str,
    retry_seconds: float | None,
    exit_code: int,
    advice: str,
) -> None:
    """Scripts branch on it; people read the advice."""
    status = failure(grpc.StatusCode[code], "what was wrong", reason, retry_seconds=retry_seconds)
    server.script.failures = [status] * 4

    result = run("adapters", "unload", "pos")

    assert result.exit_code == exit_code
    assert advice in result.stderr
    assert "Traceback" not in result.stderr


def test_control_characters_of_a_text_do_not_reach_the_terminal(run: Run) -> None:
    """Nor is markup obeyed."""
    result = run("classify", "sentiment", "a\x1b[31m[bold]b[/bold]", "c")

    assert "a�[31m[bold]b[/bold]" in result.stdout


@pytest.mark.parametrize(("service", "exit_code"), [("", 0), ("no.such.Service", 1)])
def test_health_exits_by_what_the_server_says(run: Run, service: str, exit_code: int) -> None:
    """For health checks of containers."""
    assert run("health", "--service", service).exit_code == exit_code


def test_health_is_1_where_the_server_drains(run: Run, server: FakeServer) -> None:
    """It still answers, and says so."""
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    result = run("health")

    assert (result.exit_code, result.stdout) == (1, "NOT_SERVING\n")


def test_health_is_1_where_nobody_answers(run: Run, server: FakeServer) -> None:
    """A container's health check knows 0 and 1 alone."""
    server.close()

    assert run("health").exit_code == 1


def test_a_call_is_retried_before_it_fails(run: Run, server: FakeServer) -> None:
    """As in the library."""
    server.script.failures = [UNAVAILABLE]

    assert run("model").exit_code == 0


def test_the_version_is_the_packages(run: Run) -> None:
    """Stated at one place."""
    assert run("--version").stdout == f"adaptermux {__version__}\n"


def test_the_help_lists_the_exit_codes(run: Run) -> None:
    """They are part of the interface."""
    help_text = run("--help").stdout

    assert [code for code in ("0", "1", "2", "3", "4", "5", "130") if f" {code} " not in help_text] == []
