"""Run the Node.js client's tests against a real server: `python -m scripts.test_node`."""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from tests.conformance.table import VARIABLE, running

_CLIENT = Path(__file__).resolve().parent.parent / "client" / "node"
_MINIMUM_NODE = 20
_INSTALL_SECONDS = 180
_TEST_SECONDS = 300


def main() -> int:
    """Install the client's packages and run its tests; returns the exit status."""
    missing = _missing()
    if missing:
        in_ci = bool(os.environ.get("CI"))
        print(f"{'error' if in_ci else 'skipped'}: the tests of the Node.js client need {missing}")
        return int(in_ci)
    if status := _run(["npm", "ci", "--ignore-scripts", "--loglevel=error"], _INSTALL_SECONDS):
        return status
    warnings.simplefilter("ignore", FutureWarning)  # of PEFT's use of transformers
    with tempfile.TemporaryDirectory(prefix="adaptermux-") as folder, running(Path(folder)) as table:
        return _run(["node", "--test", "--test-reporter=spec"], _TEST_SECONDS, {VARIABLE: str(table)})


def _missing() -> str | None:
    """What isn't there; None: all is."""
    if shutil.which("npm") and _node_version() >= _MINIMUM_NODE:
        return None
    return f"Node.js {_MINIMUM_NODE} or newer, with npm"


def _node_version() -> int:
    """The first number of its version; 0 where there is no Node.js."""
    if not shutil.which("node"):
        return 0
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return int(shown.removeprefix("v").partition(".")[0])


def _run(command: list[str], seconds: float, variables: dict[str, str] | None = None) -> int:
    environment = os.environ | (variables or {})
    return subprocess.run(command, cwd=_CLIENT, timeout=seconds, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
