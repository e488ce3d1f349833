"""What the tests read of deploy/: files, YAML documents, and manifests as kustomize builds them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adaptermux_server.config import ServerSettings

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"
OVERLAYS = sorted((DEPLOY / "kubernetes").glob("overlays/*"))
SETTINGS = {f"ADAPTERMUX_{name.upper()}" for name in ServerSettings.model_fields} | {"ADAPTERMUX_CONFIG"}

Document = dict[str, Any]


def files(*endings: str) -> list[Path]:
    """All files of deploy/ with one of the endings."""
    return sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix in endings)


def documents(path: Path) -> list[Document]:
    """All YAML documents of a file."""
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each is not None]


def built(folder: Path) -> list[Document]:
    """The manifests that kustomize makes of a folder. Skips the test where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl isn't installed")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(manifests: list[Document], kind: str, name: str = "") -> Document:
    """The only manifest of a kind, or the one with a name."""
    (found,) = (each for each in manifests if each["kind"] == kind and name in ("", each["metadata"]["name"]))
    return found


def server_of(manifests: list[Document]) -> Document:
    """The server's container."""
    (container,) = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def environment_of(manifests: list[Document]) -> dict[str, str]:
    """The settings that the server's container gets."""
    (source,) = server_of(manifests)["envFrom"]
    return dict(one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"])


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an environment file, without their quotes."""
    lines = (line.partition("=") for line in path.read_text("utf-8").splitlines() if re.match(r"\w", line))
    return {name: value.strip("'") for name, _, value in lines}


def variables_in(text: str) -> Iterator[str]:
    """Every ADAPTERMUX_… that a text names."""
    yield from re.findall(r"\bADAPTERMUX_\w+", text)
