"""TLS and tokens of the command line: its general options, and what it says where they don't fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from adaptermux_client.cli.app import app
from adaptermux_server.transport.listeners import Security
from tests.client.command_line import Run
from tests.client.fake_server import FakeServer
from tests.client.secure_server import ADMIN, INFER, Files, serving
from tests.support.certificates import Authority

TOKEN = "amx_of-the-command-line"


@pytest.fixture(scope="module")
def authorities() -> tuple[Authority, Authority]:
    return Authority(), Authority("another authority")


@pytest.fixture
def files(tmp_path: Path, authorities: tuple[Authority, Authority]) -> Files:
    return Files(tmp_path, *authorities)


def model(address: str, *options: str | Path, **variables: str) -> Result:
    """Ask for the model."""
    arguments = [*map(str, options), "model", "--address", address, "--timeout", "10", "--json"]
    # The server is in this process: what it logs is no output of the command.
    with capture_logs():
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "200", **variables})


def test_options_stand_before_the_command(files: Files) -> None:
    with serving("data", Security(files.certificates(mutual=True), files.tokens())) as reached:
        own = files.own(files.authority)
        token_file = files.folder / "token"
        token_file.write_text(f"{INFER}\n")

        result = model(
            reached.address.replace("localhost", "127.0.0.1"),
            *("--ca", files.ca, "--cert", str(own.certificate), "--key", str(own.key)),
            *("--server-name", "localhost", "--token-file", token_file),
        )

    assert (0, "name-0") == (result.exit_code, json.loads(result.stdout)["model_id"])


def test_variables_say_the_same(files: Files) -> None:
    with serving("data", Security(files.certificates(mutual=True), files.tokens())) as reached:
        own = files.own(files.authority)

        result = model(
            reached.address.replace("localhost", "127.0.0.1"),
            ADAPTERMUX_CLIENT_CA=str(files.ca),
            ADAPTERMUX_CLIENT_CERT=str(own.certificate),
            ADAPTERMUX_CLIENT_KEY=str(own.key),
            ADAPTERMUX_CLIENT_SERVER_NAME="localhost",
            ADAPTERMUX_TOKEN=ADMIN,
        )

    assert (0, "name-1") == (result.exit_code, json.loads(result.stdout)["model_id"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "sentiment", "good"),
        ("analyze", "--adapter", "sentiment", "good"),
        ("tokenize", "good"),
        ("model",),
        ("status",),
        ("adapters", "list"),
        ("adapters", "unload", "pos"),
        ("aliases", "list"),
    ],
    ids=" ".join,
)
def test_every_command_carries_the_token(
    run: Run, server: FakeServer, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "token").write_text(TOKEN)

    result = run("--token-file", str(tmp_path / "token"), *arguments)

    assert result.exit_code == 0, result.stderr
    assert {f"Bearer {TOKEN}"} == {each["authorization"] for each in server.script.metadata}


def test_the_file_wins_over_the_variable_and_an_empty_variable_is_none(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    for variable, arguments in (
        (TOKEN + "-2", ("--token-file", str(tmp_path / "token"))),
        (TOKEN + "-3", ()),
        ("", ()),
    ):
        monkeypatch.setenv("ADAPTERMUX_TOKEN", variable)
        assert 0 == run(*arguments, "model").exit_code

    assert [f"Bearer {TOKEN}", f"Bearer {TOKEN}-3", None] == [
        each.get("authorization") for each in server.script.metadata
    ]


def test_there_is_no_option_for_a_token() -> None:
    """All users of a machine can read the arguments of its processes."""
    assert 2 == CliRunner().invoke(app, ["--token", TOKEN, "model"]).exit_code


def test_without_a_token_it_says_where_one_comes_from(files: Files) -> None:
    with serving("data", Security(tokens=files.tokens())) as reached:
        result = model(reached.address)

    assert 1 == result.exit_code
    assert "ADAPTERMUX_TOKEN" in result.stderr
    assert "--token-file" in result.stderr


Options = Callable[[Files], tuple[str | Path, ...]]
WRONG: dict[str, tuple[Options, Callable[[Files], Security], str]] = {
    "another authority": (
        lambda files: ("--ca", files.other_ca),
        lambda files: Security(files.certificates()),
        "--ca isn't the authority of the server's certificate",
    ),
    "public authorities": (
        lambda _: ("--tls",),
        lambda files: Security(files.certificates()),
        "--ca isn't the authority of the server's certificate",
    ),
    "expired": (
        lambda files: ("--ca", files.ca),
        lambda files: Security(files.certificates(expired=True)),
        "the server's certificate has expired",
    ),
    "another name": (
        lambda files: ("--ca", files.ca, "--server-name", "x.example"),
        lambda files: Security(files.certificates()),
        "the server's certificate isn't for 'x.example'",
    ),
    "TLS to a plain listener": (
        lambda files: ("--ca", files.ca),
        lambda _: Security(),
        "the server doesn't speak TLS on this port",
    ),
    "plain to TLS": (lambda _: (), lambda files: Security(files.certificates()), "the server speaks TLS: give --ca"),
    "plain to mutual TLS": (
        lambda _: (),
        lambda files: Security(files.certificates(mutual=True)),
        "the server speaks TLS: give --ca",
    ),
    "no certificate": (
        lambda files: ("--ca", files.ca),
        lambda files: Security(files.certificates(mutual=True)),
        "the server wants a certificate of the client",
    ),
    "a certificate of another authority": (
        lambda files: certificate_of(files, files.stranger),
        lambda files: Security(files.certificates(mutual=True)),
        "the server refuses the client's certificate",
    ),
    "the key of another certificate": (
        lambda files: (
            *certificate_of(files, files.authority)[:-1],
            files.authority.sign("x").write(files.folder, "x")[1],
        ),
        lambda files: Security(files.certificates(mutual=True)),
        "the client's key isn't that of its certificate",
    ),
}


def certificate_of(files: Files, authority: Authority) -> tuple[str | Path, ...]:
    own = files.own(authority)
    return "--ca", files.ca, "--cert", str(own.certificate), "--key", str(own.key)


@pytest.mark.parametrize("what", WRONG)
def test_where_tls_does_not_fit_it_says_what_to_check(files: Files, what: str) -> None:
    options, security, advice = WRONG[what]
    given, secured = options(files), security(files)

    with serving("data", secured) as reached:
        result = model(reached.address, *given)
        health = CliRunner().invoke(app, [*map(str, given), "health", "--address", reached.address])

    assert 4 == result.exit_code
    assert advice in result.stderr
    assert "is the server running" not in result.stderr
    assert (1, True) == (health.exit_code, advice in health.stderr)


@pytest.mark.parametrize("given", [(), ("--tls",)])
def test_where_nobody_listens_it_asks_for_the_server(given: tuple[str, ...]) -> None:
    result = model("127.0.0.1:1", *given)

    assert 4 == result.exit_code
    assert "is the server running there?" in result.stderr


@pytest.mark.parametrize("option", ["--ca", "--cert", "--key", "--token-file"])
@pytest.mark.parametrize("content", [None, b"no pem and no token"])
def test_a_file_that_cannot_be_used_is_wrong_usage(
    run: Run, server: FakeServer, files: Files, option: str, content: bytes | None
) -> None:
    own = files.own(files.authority)
    given = {"--ca": files.ca, "--cert": own.certificate, "--key": own.key}
    broken = files.folder / "broken"
    if content is not None:
        broken.write_bytes(content)

    result = run(*[str(each) for pair in (given | {option: broken}).items() for each in pair], "model")

    assert (2, []) == (result.exit_code, server.script.requests)
    assert "Traceback" not in result.stderr
    assert "no pem" not in result.stderr


@pytest.mark.parametrize("option", ["--cert", "--key"])
def test_a_certificate_goes_with_its_key(files: Files, option: str) -> None:
    result = model("127.0.0.1:1", option, files.ca)

    assert 2 == result.exit_code
    assert "both or neither" in result.stderr


def test_files_are_read_by_commands_with_a_client_alone() -> None:
    result = CliRunner().invoke(app, ["--ca", "/nowhere.pem", "--token-file", "/nowhere", "serve", "--help"])

    assert 0 == result.exit_code
