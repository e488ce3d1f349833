"""`adaptermux config` and the options of `adaptermux serve`: made from the settings, and shown with their origins."""

import json
import os
import subprocess
import sys
import tomllib

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from typer.testing import CliRunner

from adaptermux_server import cli
from adaptermux_server.cli.config import app
from adaptermux_server.config import ServerSettings, as_json, as_toml, load, settings_of


class Guarded(ServerSettings):
    """As the server's, and a secret."""

    token: SecretStr | None = None
    """What callers must know."""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in os.environ:
        if name.startswith("ADAPTERMUX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    return monkeypatch.setenv


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_show_tells_each_value_and_its_origin(environment, tmp_path):
    (tmp_path / "s.yaml").write_text("model: m\nmax_batch_rows: 3\n")
    environment("ADAPTERMUX_DTYPE", "bfloat16")

    result = run("show", "--config", str(tmp_path / "s.yaml"), "--adapter", "a=f", "--adapter", "b=g=h")

    shown = dict(line.split("  # ") for line in result.stdout.splitlines() if "  # default" not in line)
    assert {name.strip(): origin for name, origin in shown.items()} == {
        'model = "m"': f"file {tmp_path / 's.yaml'}",
        'adapters = {"a" = "f", "b" = "g=h"}': "flag --adapter",
        'dtype = "bfloat16"': "environment ADAPTERMUX_DTYPE",
        "max_batch_rows = 3": f"file {tmp_path / 's.yaml'}",
    }
    assert len(result.stdout.splitlines()) == len(ServerSettings.model_fields)


def test_show_as_json_is_one_document_of_all_settings():
    document = json.loads(run("show", "--model", "m", "--store", "s", "--format", "json").stdout)["settings"]

    assert list(document) == list(ServerSettings.model_fields)
    assert document["store"] == {"value": "s", "origin": "flag", "name": "--store"}
    assert document["num_threads"] == {"value": None, "origin": "default", "name": ""}


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(model=TEXTS, adapters=st.dictionaries(TEXTS, TEXTS, max_size=3), wait=st.floats(0.001, 3600), rows=st.none())
def test_what_show_prints_is_a_file_of_the_same_meaning(tmp_path_factory, model, adapters, wait, rows):
    flags = {"model": model, "adapters": adapters, "max_wait_seconds": wait, "store": "a\\b", "adapter_roots": ["/r"]}
    found = load(flags)
    path = tmp_path_factory.getbasetemp() / "again.toml"
    path.write_text(as_toml(found), "utf-8")

    assert load({}, path).settings == found.settings


def test_secrets_are_never_printed(environment):
    environment("ADAPTERMUX_TOKEN", "hush")
    found = load({"model": "m", "adapter_roots": ["https://me:hush@host/a", "hf://owner/name@v1"]}, cls=Guarded)

    for text in (as_toml(found), as_json(found)):
        assert "hush" not in text
        assert "hf://owner/name@v1" in text
        assert "**********" in text
    assert "token" not in tomllib.loads(as_toml(found)), "or the stars would be taken for the secret"
    assert json.loads(as_json(found))["settings"]["token"]["name"] == "ADAPTERMUX_TOKEN"


def test_check_accepts_what_the_server_would_take():
    result = run("check", "--model", "m")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 given" in result.stdout


@pytest.mark.parametrize("command", ["check", "show"])
def test_wrong_settings_end_with_2_and_a_line_for_each(environment, command):
    environment("ADAPTERMUX_MODLE", "m")

    result = run(command, "--dtype", "int3")

    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(":")[:2] for line in result.stderr.splitlines()] == [
        ["error", " ADAPTERMUX_MODLE"],
        ["error", " model"],
        ["error", " dtype (flag --dtype)"],
    ]


@pytest.mark.parametrize(
    ("adapters", "says"),
    [(["a"], "ID=FOLDER"), (["=f"], "ID=FOLDER"), (["a="], "ID=FOLDER"), (["a=f", "b=f", "a=g"], "'a' is there twice")],
)
def test_adapters_are_an_id_and_a_folder_each_once(adapters, says):
    result = run("check", "--model", "m", *(f"--adapter={adapter}" for adapter in adapters))

    assert result.exit_code == 2
    assert says in result.stderr


def test_the_help_of_serve_has_every_option_with_its_meaning_and_default():
    application = typer.Typer()
    application.command()(cli.serve)

    words = " ".join(CliRunner().invoke(application, ["--help"]).stdout.replace("│", " ").split())

    for setting in settings_of():
        assert f"{setting.flag} {setting.unit} {setting.meaning}" in words
    assert "Default: 127.0.0.1:50051." in words
    assert words.count(" Default: ") == sum(bool(setting.default) for setting in settings_of())


def test_serve_runs_with_the_settings_and_ends_with_what_the_server_says(monkeypatch):
    ran = []
    monkeypatch.setattr(cli, "_configure_logging", ran.append)
    monkeypatch.setattr(cli, "_run", lambda settings: ran.append(settings) or 7)
    application = typer.Typer()
    application.command()(cli.serve)

    result = CliRunner().invoke(application, ["--model", "m", "--adapter-root", "/r", "--max-queued-rows", "9"])

    assert result.exit_code == 7
    assert ran == [ServerSettings(model="m", adapter_roots=("/r",), max_queued_rows=9)] * 2


def test_help_and_checks_load_neither_torch_nor_grpc():
    code = (
        "import sys; from adaptermux_server.cli.config import app; app(['show', '--model', 'm'], standalone_mode=False)"
    )
    check = "; print([name for name in ('torch', 'transformers', 'grpc') if name in sys.modules])"

    result = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, timeout=60, check=True
    )

    assert result.stdout.splitlines()[-1] == "[]"
