"""Promises of the project about itself: import rules, stubs, documents."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adaptermux_server.config import ServerSettings

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


def test_every_setting_is_documented():
    documented = re.findall(r"^\| `ADAPTERMUX_(\w+)`", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.M)

    assert [name.upper() for name in ServerSettings.model_fields] == documented


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
