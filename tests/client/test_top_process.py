"""`adaptermux top` as a process on a terminal: keys, signals, a server that is lost, and the terminal afterwards."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.client.command_line import Run
from tests.client.fake_server import FakeServer
from tests.client.test_cli_process import COMMAND, environment
from tests.client.watched import batch, row, told

_PATIENCE_SECONDS = 30.0
_SCREEN_ON, _SCREEN_OFF, _CURSOR_ON = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


class Terminal:
    """A pseudo-terminal with a process on it."""

    def __init__(self, server: FakeServer, *arguments: str, **variables: str) -> None:
        self._leader, self._follower = pty.openpty()
        self.resize(24, 80)
        self.before = self.attributes()
        self.seen = b""
        variables = environment(server) | {"TERM": "xterm-256color", **variables}
        del variables["COLUMNS"]
        self.process = subprocess.Popen(
            [*COMMAND, "top", "--interval", "0.1", *arguments],
            env=variables,
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
        )

    def attributes(self) -> list[Any]:
        """How the terminal treats what is typed."""
        return termios.tcgetattr(self._follower)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        os.write(self._leader, keys)

    def wait_for(self, text: str) -> bytes:
        """Read until the text comes, after what was read before; returns what came up to it."""
        end, start = time.monotonic() + _PATIENCE_SECONDS, len(self.seen)
        while text.encode() not in self.seen[start:]:
            assert time.monotonic() < end, f"{text!r} never came: {self.seen[-3000:].decode()}"
            if select.select([self._leader], [], [], 0.1)[0]:
                self.seen += os.read(self._leader, 65_536)
        return self.seen[start:]

    def ended(self) -> int:
        """Read until the process has ended; returns its exit status."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while self.process.poll() is None or select.select([self._leader], [], [], 0)[0]:
            assert time.monotonic() < end, "it never ended"
            if select.select([self._leader], [], [], 0.1)[0]:
                self.seen += os.read(self._leader, 65_536)
        return self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._leader)
        os.close(self._follower)


@contextmanager
def top(server: FakeServer, *arguments: str, **variables: str) -> Iterator[Terminal]:
    """Run it until the end of the context at most."""
    terminal = Terminal(server, *arguments, **variables)
    try:
        yield terminal
    finally:
        terminal.close()


def assert_restored(terminal: Terminal) -> None:
    """The shell's own screen is back, with a cursor, and typing is as it was."""
    assert terminal.attributes() == terminal.before
    assert terminal.seen.count(_SCREEN_ON) == terminal.seen.count(_SCREEN_OFF) == 1
    assert terminal.seen.rindex(_CURSOR_ON) > terminal.seen.index(_SCREEN_ON)


@pytest.fixture(autouse=True)
def _forwards(server: FakeServer) -> None:
    server.admin.batches = [[told(batch(row("sentiment"), row("pos")))]]


def test_q_quits(server: FakeServer) -> None:
    """After the adapters, the model and the load were there."""
    with top(server) as terminal:
        terminal.wait_for("sentiment")
        shown = terminal.wait_for("last 1 forwards")
        terminal.press(b"q")

        assert 0 == terminal.ended()
        assert b"all-MiniLM-L6-v2" in shown
        assert b"Traceback" not in terminal.seen
        assert_restored(terminal)


def test_keys_sort_and_pause(server: FakeServer) -> None:
    """Each at once; other keys do nothing."""
    with top(server) as terminal:
        terminal.wait_for("sorted by load")
        terminal.press(b"xs\x1b[A")
        terminal.wait_for("sorted by queued")
        terminal.press(b"p")
        terminal.wait_for("paused")
        terminal.press(b"p")
        terminal.wait_for(" pause ")
        terminal.press(b"q")

        assert 0 == terminal.ended()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order(server: FakeServer, number: signal.Signals, status: int) -> None:
    """The terminal first."""
    with top(server) as terminal:
        terminal.wait_for("sentiment")
        terminal.process.send_signal(number)

        assert status == terminal.ended()
        assert b"Traceback" not in terminal.seen
        assert_restored(terminal)


def test_a_terminal_of_another_size_is_filled_anew(server: FakeServer) -> None:
    """The column of the waits needs a wide one."""
    with top(server) as terminal:
        narrow = terminal.wait_for("SHARE")
        terminal.resize(40, 140)
        terminal.wait_for("P99 WAIT")
        terminal.press(b"q")

        assert 0 == terminal.ended()
        assert b"P99 WAIT" not in narrow


def test_the_screen_is_never_cleared(server: FakeServer) -> None:
    """It is written over: nothing flickers."""
    with top(server) as terminal:
        for _ in range(3):
            terminal.wait_for("sorted by load")
        terminal.press(b"q")
        terminal.ended()

        assert b"\x1b[2J" not in terminal.seen.partition(_SCREEN_ON)[2]


def test_no_color_is_respected(server: FakeServer) -> None:
    """What https://no-color.org asks for."""
    with top(server, NO_COLOR="1") as terminal:
        terminal.wait_for("last 1 forwards")
        terminal.press(b"q")
        terminal.ended()

        assert b"\x1b[38;5;" not in terminal.seen
        assert b"\x1b[32m" not in terminal.seen


def test_a_lost_server_is_told_and_found_again(server: FakeServer) -> None:
    """The last picture stays meanwhile."""
    with top(server) as terminal:
        terminal.wait_for("last 1 forwards")
        server.close()
        lost = terminal.wait_for("connection lost, trying again")
        terminal.wait_for("sentiment")
        again = FakeServer(server.address)
        again.admin.batches = [[told(batch(row("pos")))]]
        try:
            terminal.wait_for("AdapterMux 0.1.0")
            terminal.wait_for("last 2 forwards")
            terminal.press(b"q")
            status = terminal.ended()
        finally:
            again.close()

        assert 0 == status
        assert b"Traceback" not in lost
        assert_restored(terminal)


def test_nobody_at_the_address_is_an_error_as_elsewhere(server: FakeServer) -> None:
    """On the shell's own screen."""
    server.close()
    with top(server) as terminal:
        assert 4 == terminal.ended()
        assert b"UNAVAILABLE" in terminal.seen
        assert _SCREEN_ON not in terminal.seen


def test_a_pipe_gets_one_picture(run: Run, server: FakeServer) -> None:
    """Without keys, and with all adapters."""
    result = run("top", "--interval", "0.3")

    lines = result.stdout.splitlines()
    assert 0 == result.exit_code
    assert lines[0].startswith("AdapterMux 0.1.0  all-MiniLM-L6-v2")
    assert {"sentiment", "pos"} == {line.split()[1] for line in lines if line.startswith("■")}
    assert "quit" not in result.stdout
    assert "\x1b" not in result.stdout


def test_once_prints_one_picture_on_a_terminal(server: FakeServer) -> None:
    """And leaves it there."""
    with top(server, "--once") as terminal:
        assert 0 == terminal.ended()
        assert b"sentiment" in terminal.seen
        assert _SCREEN_ON not in terminal.seen
