"""A server in a process of its own, for tests, demos and benchmarks: started on free ports, stopped by its pid."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

START_SECONDS = 120.0
STOP_SECONDS = 60.0


class ServerDiedError(Exception):
    """The server ended, or didn't get ready, where it should have served; the message ends with its last lines."""


@dataclass
class LocalServer:
    """A running server. Its log is kept whole, as parsed JSON lines."""

    process: subprocess.Popen[str]
    log: list[dict[str, object]] = field(default_factory=list)
    _settled: threading.Event = field(default_factory=threading.Event)
    """Set once it serves, or has ended."""

    @property
    def data_address(self) -> str:
        """Host and port of the data listener."""
        return self._address("data")

    @property
    def admin_address(self) -> str:
        """Host and port of the admin listener."""
        return self._address("admin")

    @property
    def metrics_address(self) -> str:
        """Host and port of metrics and the live page, if they are served."""
        return self._address("metrics")

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_seconds: float = STOP_SECONDS) -> int:
        """Signal the server and wait for its end, by force after the timeout; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def wait_ready(self, timeout_seconds: float) -> None:
        """Return once it serves. Raises ServerDiedError."""
        in_time = self._settled.wait(timeout_seconds)
        if not any(line.get("event") == "serving" for line in self.log):
            last = "\n".join(str(line) for line in self.log[-20:])
            raise ServerDiedError(f"the server {'ended' if in_time else 'was not ready in time'}:\n{last}")

    def read_log(self, lines: IO[str]) -> None:
        """Collect the log until the server ends."""
        for line in lines:
            self.log.append(_parsed(line))
            if self.log[-1].get("event") == "serving":
                self._settled.set()
        self._settled.set()

    def _address(self, listener: str) -> str:
        return next(str(line["address"]) for line in self.log if line.get("listener") == listener)


@contextmanager
def local_server(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, start_seconds: float = START_SECONDS
) -> Iterator[LocalServer]:
    """Run `adaptermux serve` with `arguments` on free ports of 127.0.0.1; it is stopped when the context ends.

    Raises ServerDiedError if it doesn't get ready.
    """
    command = [str(Path(sys.executable).with_name("adaptermux")), "serve", "--log-format", "json"]
    ports = ["--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, *ports, *arguments],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        # gRPC's own lines may quote what a client sent; a reader that fails there would leave the pipe to fill up.
        errors="backslashreplace",
        env={**os.environ, **(environment or {})},
        # A Ctrl-C at the terminal is for the parent, which then stops the server in its own order.
        start_new_session=True,
    ) as process:
        server = LocalServer(process)
        if process.stderr is None:
            raise AssertionError("this is a bug: stderr is a pipe")
        reader = threading.Thread(target=server.read_log, args=[process.stderr], daemon=True)
        reader.start()
        try:
            server.wait_ready(start_seconds)
            yield server
        finally:
            server.stop()
            reader.join()


def _parsed(line: str) -> dict[str, object]:
    try:
        parsed = json.loads(line)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"line": line.rstrip("\n")}
