"""What deploy/ tells the server is what the server knows, and all its parts agree."""

import re
from pathlib import Path

import pytest

from adaptermux_server.config import load
from tests.deploy.documents import BASE, DEPLOY, ROOT, SETTINGS, documents, files, read_env_file, variables_in

COMPOSE = DEPLOY / "compose" / "compose.yaml"
UNIT = DEPLOY / "systemd" / "adaptermux.service"
# Named to say why it's kept away: what Kubernetes would make of the service's name.
NOT_SETTINGS = {"deployment.yaml": {"ADAPTERMUX_PORT"}}

NAMING_SETTINGS = [ROOT / "Dockerfile", *files(".md", ".yaml", ".yml", ".env", ".service", ".json", ".sysusers")]
ENVIRONMENTS = {
    "kubernetes": read_env_file(BASE / "settings.env"),
    "systemd": read_env_file(DEPLOY / "systemd" / "adaptermux.env"),
    "compose": {
        name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value)
        for name, value in documents(COMPOSE)[0]["services"]["server"]["environment"].items()
    },
}
# Read, not imported: the module needs seconds for torch.
APP = (ROOT / "server" / "adaptermux_server" / "app.py").read_text("utf-8")
LAST_WORDS_SECONDS = float(re.findall(r"^_LAST_WORDS_SECONDS = (\S+)$", APP, re.M)[0])
GRACE_SECONDS = {
    "kubernetes": documents(BASE / "deployment.yaml")[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
    "systemd": int(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text("utf-8"), re.M)[0]),
    "compose": int(documents(COMPOSE)[0]["services"]["server"]["stop_grace_period"].removesuffix("s")),
}


@pytest.mark.parametrize("path", NAMING_SETTINGS, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(variables_in(path.read_text("utf-8"))) - NOT_SETTINGS.get(path.name, set())

    assert set() == named - SETTINGS


@pytest.mark.parametrize("place", ENVIRONMENTS)
def test_the_server_takes_the_settings(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENTS[place].items():
        monkeypatch.setenv(name, value)

    settings = load({}).settings

    assert settings.adapter_roots[0].endswith("/adapters")
    assert settings.metrics_address is not None


@pytest.mark.parametrize("place", GRACE_SECONDS)
def test_a_drain_ends_before_the_server_is_killed(place: str) -> None:
    drain_seconds = float(ENVIRONMENTS[place]["ADAPTERMUX_DRAIN_SECONDS"])

    assert drain_seconds + LAST_WORDS_SECONDS + 5 <= GRACE_SECONDS[place]


def test_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (DEPLOY / "README.md").read_text("utf-8"))

    assert links
    assert [] == [link for link in links if not (DEPLOY / link).exists()]
