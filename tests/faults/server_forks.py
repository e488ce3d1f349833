"""Servers that start at once: each is a fork of a process that has loaded all libraries.

As a program it reads one request a line, a JSON list: arguments of a server, what to add to the environment, and a file
for the log. It answers each with two lines: the server's process id, and how that process ended (as `subprocess` does).
"""

import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from adaptermux_server.testing import ServerDiedError

_LIBRARIES = (
    *("adaptermux_client.cli", "adaptermux_server.app", "adaptermux_server.cli"),
    *("peft.tuners.lora", "transformers.models.bert.modeling_bert"),
)
_START_SECONDS = 60.0
_END_SECONDS = 45.0
_POLL_SECONDS = 0.01


class Forks:
    """The client of such a program; one server at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.faults.server_forks"]
        # Set already, or the server would start over as another process, and not as a fork.
        environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
        self._program = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.communicate()

    @contextmanager
    def server(self, log: Path, arguments: Sequence[str], **environment: str) -> Iterator["ForkedServer"]:
        """A server that serves within the context, unless it dies; at its end it is stopped by SIGTERM."""
        server = self._fork(log, arguments, environment)
        try:
            server.wait_ready()
            yield server
        finally:
            server.stop()

    def ended(self, log: Path, arguments: Sequence[str]) -> int:
        """How a server ends that is expected to end by itself."""
        return self._fork(log, arguments, {}).wait()

    def _fork(self, log: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> "ForkedServer":
        assert self._program.stdin
        print(json.dumps([arguments, environment, str(log)]), file=self._program.stdin, flush=True)
        pid = int(self._line())
        return ForkedServer(pid, log, partial(self._status, pid))

    def _status(self, pid: int) -> int:
        """Wait for a server's end, and bring it about if it doesn't come."""
        assert self._program.stdout
        if not select.select([self._program.stdout], [], [], _END_SECONDS)[0]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._line())

    def _line(self) -> str:
        assert self._program.stdout
        return self._program.stdout.readline()


class ForkedServer:
    """A server and its log, as lines of JSON."""

    def __init__(self, pid: int, log: Path, wait: Callable[[], int]) -> None:
        self._pid, self._log, self._wait = pid, log, wait
        self._status: int | None = None

    def wait_ready(self) -> None:
        """Return once it serves. Raises ServerDiedError."""
        until = time.monotonic() + _START_SECONDS
        while not any(line.get("event") == "serving" for line in self.lines()):
            if time.monotonic() > until or not _lives(self._pid):
                raise ServerDiedError(self._log.read_text()[-2000:])
            time.sleep(_POLL_SECONDS)

    def stop(self) -> int:
        """End it, if it hasn't died; returns how it ended."""
        if self._status is None:
            self.terminate()
            self.wait()
        assert self._status is not None
        return self._status

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended, and wait for nothing."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end; returns how it ended."""
        if self._status is None:
            self._status = self._wait()
        return self._status

    def address(self, listener: str) -> str:
        """Host and port of the data or the admin listener."""
        return next(str(line["address"]) for line in self.lines() if line.get("listener") == listener)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        text = self._log.read_text() if self._log.exists() else ""
        complete = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in complete.splitlines() if line.startswith("{")]


def _lives(pid: int) -> bool:
    """Whether a process runs, and isn't one that has ended and wasn't waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _serve(arguments: list[str], environment: dict[str, str], log: str) -> int:
    from adaptermux_client.cli import main as command_line
    from adaptermux_server import failpoints
    from tests.faults.tampering import tamper

    with open(log, "w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.update(environment)
    importlib.reload(failpoints)
    tamper()
    addresses = ["--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    sys.argv = ["adaptermux", "serve", "--log-format", "json", *addresses, *arguments]
    try:
        command_line()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def main() -> None:
    """Serve requests until the input ends."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    # A collection in a fork would touch, and so copy, all that is shared.
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os._exit(_serve(*json.loads(line)))
        print(pid, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
