"""What the command line says, and how it exits, when something is wrong."""

import grpc
import pytest

from tests.client.command_line import Run
from tests.client.fake_answers import UNAVAILABLE, failure
from tests.client.fake_server import FakeServer


def test_analyze_without_any_adapter_says_so(run: Run, server: FakeServer) -> None:
    """An empty server isn't a crash."""
    server.admin.adapters.clear()

    result = run("analyze", "text")

    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, "error: no adapter is READY")


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
        (("adapters", "load", "new"), "", "give either PATH or --revision"),
        (("adapters", "load", "new", "/a", "--revision", "0" * 64), "", "give either PATH or --revision"),
        (("adapters", "load", "new", "/a", "--meta", "team"), "", "KEY=VALUE"),
        (("adapters", "load", "new", "/a", "--meta", "a=1", "--meta", "a=2"), "", "gives a twice"),
        (("adapters", "push", "/no/such/folder", "--id", "new"), "", "does not exist"),
        (("adapters", "update", "pos"), "", "at least one option"),
        (("adapters", "update", "pos", "--meta", "a=1", "--no-meta"), "", "exclude each other"),
        (("aliases", "set", "prod"), "", "Missing argument"),
        (("aliases", "set", "prod", "pos=0"), "", "from 1 on"),
        (("aliases", "set", "prod", "pos=1", "pos=2"), "", "given twice"),
        (("apply",), "", "Missing option"),
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
        "       adaptermux adapters list shows those that are loaded",
    ]


def test_an_adapter_of_another_task_names_the_command_that_fits(run: Run, server: FakeServer) -> None:
    """The server names the RPC; who types commands needs the command."""
    server.script.failures = [
        failure(grpc.StatusCode.FAILED_PRECONDITION, "call TagTokens", "TASK_MISMATCH", {"rpc": "TagTokens"})
    ]

    assert "adaptermux tag asks it" in run("classify", "pos", "x").stderr


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
        ("UNAVAILABLE", "SOURCE_UNAVAILABLE", 0.5, 1, "retry in 0.5 s"),
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


def test_a_call_is_retried_before_it_fails(run: Run, server: FakeServer) -> None:
    """As in the library."""
    server.script.failures = [UNAVAILABLE]

    assert run("model").exit_code == 0
