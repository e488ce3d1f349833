"""A real `adaptermux serve` in a process of its own, on ports that it chooses."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.models import MODEL_ID, RECIPES, SPARE, Models

_START_SECONDS = 90
_STOP_SECONDS = 20
_SERVE = "import typer; from adaptermux_server.cli import serve; typer.run(serve)"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server listens."""

    data: str
    admin: str


@contextmanager
def serving(models: Models, log: Path) -> Iterator[Addresses]:
    """Serve all adapters but the spare one; the server's log goes to a file. Stops it by SIGTERM, then by force."""
    command = [sys.executable, "-c", _SERVE, *_options(models)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ADAPTERMUX_DRAIN_SECONDS": "5"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield _addresses(process, log)
        finally:
            _stop(process)


def _options(models: Models) -> list[str]:
    options = [f"--model={models.base}", f"--model-id={MODEL_ID}", f"--adapter-root={models.adapters}"]
    options += [f"--adapter={name}={models.adapters / name}" for name in RECIPES if name != SPARE]
    return [*options, "--address=127.0.0.1:0", "--admin-address=127.0.0.1:0", "--num-threads=1", "--log-format=json"]


def _addresses(process: subprocess.Popen[str], log: Path) -> Addresses:
    """Wait until the server says that it serves."""
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    watchdog.start()
    found: dict[str, str] = {}
    assert process.stderr is not None
    with log.open("w") as copy:
        for line in process.stderr:
            copy.write(line)
            event = _event(line)
            if event.get("event") == "listening":
                found[event["listener"]] = event["address"]
            if event.get("event") == "serving":
                watchdog.cancel()
                threading.Thread(target=_drain, args=(process, log), daemon=True).start()
                return Addresses(**found)
    watchdog.cancel()
    raise RuntimeError(f"the server ended before it served; its log:\n{log.read_text()}")


def _event(line: str) -> dict[str, str]:
    try:
        event = json.loads(line)
    except ValueError:  # a library's own warning
        return {}
    return event if isinstance(event, dict) else {}


def _drain(process: subprocess.Popen[str], log: Path) -> None:
    assert process.stderr is not None
    with log.open("a") as copy:
        copy.writelines(process.stderr)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
