"""`adaptermux trace`: what the engine does for some seconds, as a file that trace viewers open."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from adaptermux_client.cli import options
from adaptermux_client.cli.border import reading_files, reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.output import plain, stderr
from adaptermux_client.cli.trace_events import Trace
from adaptermux_client.errors import CallCancelledError, DeadlineExceededError, UnavailableError
from adaptermux_client.sync_admin import AdminClient

_MAX_SECONDS = 600.0


def trace(
    *,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="SECONDS", min=0.1, max=_MAX_SECONDS, help="For how long.")
    ] = 5.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; none: stdout.", show_default=False),
    ] = None,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
) -> None:
    """Record every forward for some seconds: which rows of which adapters it had, how long each had waited.

    The file opens in **ui.perfetto.dev** and in **chrome://tracing**: forwards and traversals on the tracks of the
    engine, a track for each adapter with the waits of its rows, arrows from waits to forwards, and counters. Ctrl-C
    ends the recording early, and what was recorded is written. For example:
    `adaptermux trace --seconds 5 > trace.json`
    """
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        # A watch of a server that does nothing tells nothing, and so does one of nobody: this tells them apart.
        version = client.status().version
        recorded = Trace({"server": f"AdapterMux {version}", "address": admin_address})
        with _writing(output) as file:
            _record(client, seconds, recorded)
            json.dump(recorded.document(), file, ensure_ascii=False, separators=(",", ":"))
            file.write("\n")
    for line in _summary(recorded):
        stderr().print(plain(line))


def _record(client: AdminClient, seconds: float, recorded: Trace) -> None:
    end = time.monotonic() + seconds
    try:
        with _progress() as tell:
            for watched in client.watch_batches(timeout=seconds):
                recorded.add(watched)
                tell(f"{recorded.num_forwards:,} forwards, {max(0.0, end - time.monotonic()):.0f} s left …")
    except DeadlineExceededError:
        pass  # the time is over
    except (UnavailableError, CallCancelledError) as error:
        _say(f"the connection was lost before the end: {error.message}")
    except KeyboardInterrupt:
        _say("interrupted before the end")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What shows how far it is, on a terminal alone."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("waiting for forwards …") as status:
        yield status.update


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    """The file, opened before anything is recorded: one that can't be written is told at once."""
    if output is None:
        yield sys.stdout
        return
    with reading_files(), output.open("w", encoding="utf-8") as file:
        yield file


def _summary(recorded: Trace) -> Iterator[str]:
    if not recorded.num_forwards:
        yield "nothing was computed meanwhile: the trace is empty"
        return
    yield (
        f"{recorded.num_forwards:,} forwards with {recorded.num_rows:,} rows of {recorded.num_adapters:,} adapters;"
        " open it in ui.perfetto.dev or chrome://tracing"
    )
    if recorded.num_missed:
        yield f"{recorded.num_missed:,} forwards are missing: they came faster than they were read"


def _say(what: str) -> None:
    stderr().print(plain(what, "yellow"))
