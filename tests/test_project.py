"""Promises of the project about itself: import rules, stubs, documents."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adaptermux.v1.error_reason_pb2 import ErrorReason
from adaptermux_client import errors
from adaptermux_server.cli.config import app as config_app
from adaptermux_server.config import ServerSettings
from scripts import error_reference, generate_docs

ROOT = Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_imports_point_in_one_direction():
    result = run(Path(sys.executable).with_name("lint-imports"))

    assert result.returncode == 0, result.stdout


def test_only_one_module_of_the_engine_imports_peft():
    pattern = re.compile(r"^\s*(import|from) peft\b", re.MULTILINE)

    importers = [path.name for path in (ROOT / "server").rglob("*.py") if pattern.search(path.read_text("utf-8"))]

    assert ["peft_layers.py"] == importers


def test_no_model_family_is_known_by_name():
    families = "Bert|Electra|Roberta|DistilBert|Deberta|ModernBert|Albert|Llama|Qwen|Mistral|Gemma|GPT2"
    pattern = re.compile(rf"\b({families})[A-Z]\w*")

    found = [
        (p.name, m.group()) for p in (ROOT / "server").rglob("*.py") for m in pattern.finditer(p.read_text("utf-8"))
    ]

    assert [] == found


@pytest.mark.timeout(300)
def test_the_stubs_are_what_the_proto_files_give():
    result = run(sys.executable, "scripts/generate_stubs.py", "--check")

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", generate_docs.PARTS)
def test_the_documents_are_what_the_code_gives(name):
    document = (ROOT / "docs" / name).read_text("utf-8")

    assert generate_docs.renewed(document, generate_docs.PARTS[name]()) == document, "run `make docs`"


def test_every_setting_is_documented():
    documented = re.findall(r"^\| `ADAPTERMUX_(\w+)`", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.M)

    assert [name.upper() for name in ServerSettings.model_fields] == documented


def test_the_files_that_the_configuration_shows_are_right(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("ADAPTERMUX_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (command, shown) = re.search(r"^\$ (.*)\n((?:.+\n)+)```", text, re.MULTILINE).groups()
    (tmp_path / "server.toml").write_text(example, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(*re.match(r"(\w+)=(\S+)", command).groups())
    options = re.search(r" config (.*) \|", command).group(1).split()

    result = CliRunner().invoke(config_app, options)

    assert shown.splitlines() == [line for line in result.stdout.splitlines() if "default" not in line]


def test_every_reason_is_documented():
    documented = re.findall(r"^### (\w+)$", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.M)

    assert [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]] == documented


@pytest.fixture(scope="module")
def reasons():
    return {reason.name: reason for reason in error_reference.reasons()}


@pytest.mark.parametrize("name", [name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()[1:]])
def test_the_comment_of_a_reason_says_what_the_server_sends(reasons, name):
    reason = reasons[name]
    (told,) = re.findall(r"Metadata: (.*?)(?:\.(?= |$))", reason.comment) or [""]

    assert reason.comment.startswith(f"{reason.code}. ")
    assert set(re.findall(r"`(\w+)`", told)) == set(reason.metadata)
    assert bool(reason.retry) == ("`RetryInfo`" in reason.comment)


def test_every_reason_has_a_class_of_its_own_in_the_python_client(reasons):
    classes = [reason.client for reason in reasons.values()]

    assert len(set(classes)) == len(classes)
    assert not set(classes) & (set(errors.BY_CODE.values()) - set(errors.BY_REASON.values()))


def test_a_document_without_its_generated_part_is_refused():
    with pytest.raises(ValueError, match="want one part"):
        generate_docs.renewed("# Errors", "part")


def test_every_rpc_has_a_comment_in_the_api():
    for path in (ROOT / "proto").rglob("*.proto"):
        lines = path.read_text("utf-8").splitlines()
        bare = [
            line
            for before, line in itertools.pairwise(lines)
            if re.match(r"\s*(rpc |message |enum |service |\w[\w.<>, ]* \w+ = \d+;)", line)
            and not before.strip().startswith("//")
        ]

        assert [] == bare, path.name
