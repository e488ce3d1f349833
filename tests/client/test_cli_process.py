"""The command line as a process of its own: exit codes, pipes, a terminal, an interrupt."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.client.fake_server import FakeServer
from tests.client.folders import adapter_folder

COMMAND = (sys.executable, "-c", "from adaptermux_client.cli import main; main()")


def environment(server: FakeServer) -> dict[str, str]:
    """Of a process that asks the fake server."""
    addresses = {"ADAPTERMUX_ADDRESS": server.address, "ADAPTERMUX_ADMIN_ADDRESS": server.address}
    return os.environ | addresses | {"COLUMNS": "80", "TERM": "xterm"}


def run(server: FakeServer, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_pipe_in_and_a_pipe_out(server: FakeServer) -> None:
    """Stdin's lines become one document on stdout; stderr stays empty."""
    done = run(server, "classify", "sentiment", "--json", stdin="good film\nbad\n")

    labels = [result["labels"][0]["label"] for result in json.loads(done.stdout)["results"]]
    assert (done.returncode, labels, done.stderr) == (0, ["positive", "negative"], "")


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("health",), 0),
        (("classify", "unknown", "x"), 1),
        (("classify",), 2),
        (("classify", "sentiment", "x", "--address", "127.0.0.1:1"), 4),
    ],
)
def test_exit_codes(server: FakeServer, arguments: tuple[str, ...], exit_code: int) -> None:
    """What a shell sees; there is never a stack trace."""
    done = run(server, *arguments)

    assert exit_code == done.returncode
    assert "Traceback" not in done.stderr


def test_a_deadline_exits_with_5(server: FakeServer) -> None:
    """The server is busy with something else."""
    server.script.hold = threading.Event()

    done = run(server, "classify", "sentiment", "x", "--timeout", "0.2")

    assert (done.returncode, done.stdout) == (5, "")


def test_an_interrupt_exits_with_130_and_cancels_the_call(server: FakeServer) -> None:
    """Ctrl-C leaves nothing in the server's queue."""
    server.script.hold = threading.Event()
    process = subprocess.Popen(
        [*COMMAND, "classify", "sentiment", "x"],
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.script.arrived.wait(30)

    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)

    assert (process.returncode, "Traceback" in stderr) == (130, False)
    assert server.script.gone.wait(10)


def test_a_terminal_gets_a_table_within_its_width(server: FakeServer) -> None:
    """Long texts are folded, and a last line says who answered in what time."""
    shown = on_a_terminal(server, "classify", "sentiment", "good " * 40, "bad", columns="80")

    assert "sentiment@3fa9c1d2 · waited 2.0 ms · computed 9.0 ms" in shown
    assert shown.count("good") == 40
    assert shown.count("\n") > 5


def on_a_terminal(server: FakeServer, *arguments: str, columns: str) -> str:
    """What a command that ends well prints on a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(server) | {"COLUMNS": columns},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = read_all(leader).decode()
    assert process.wait(60) == 0
    return shown


def read_all(terminal: int) -> bytes:
    """Everything until the other side of the terminal is closed."""
    found = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux reports the end of a pseudo-terminal as an I/O error
            part = b""
        if not part:
            os.close(terminal)
            return found
        found += part


@pytest.mark.parametrize(("columns", "shown"), [("200", True), ("80", False)])
def test_a_narrow_terminal_gets_fewer_columns(server: FakeServer, columns: str, shown: bool) -> None:
    """Rather than cells in pieces; what matters most stays, and each adapter is a line."""
    printed = on_a_terminal(server, "adapters", "list", columns=columns)

    assert shown is ("EXECUTOR" in printed)
    assert "sequence classification" in printed
    assert all("READY" in line for line in printed.splitlines() if "sentiment" in line or "pos" in line)


def test_a_push_from_a_terminal_shows_its_progress(server: FakeServer, tmp_path: Path) -> None:
    """As a bar that is gone afterwards."""
    printed = on_a_terminal(server, "adapters", "push", str(adapter_folder(tmp_path)), "--id", "new", columns="100")

    assert "sending new" in printed
    assert "pushed and loaded" in printed
