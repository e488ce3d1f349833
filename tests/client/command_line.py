"""Running the command line in this process, and reading what it printed."""

import json
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner, Result

from adaptermux_client.cli.app import app
from tests.client.fake_server import FakeServer

Run = Callable[..., Result]


def against(server: FakeServer) -> Run:
    """Runs a command line against this server."""
    environment = {"ADAPTERMUX_ADDRESS": server.address, "ADAPTERMUX_ADMIN_ADDRESS": server.address, "COLUMNS": "200"}

    def invoke(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, env=environment)

    return invoke


def document(result: Result) -> Any:
    """The JSON document that a command printed, and nothing else."""
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def lines(result: Result) -> list[list[str]]:
    """The words of each line that a command printed."""
    assert result.exit_code == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]
