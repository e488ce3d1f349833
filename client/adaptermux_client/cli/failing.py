"""How a command ends that failed: one clear line on stderr and an exit code."""

from enum import IntEnum
from typing import NoReturn

import typer
from rich.text import Text

from adaptermux_client.cli.output import plain, stderr


class ExitCode(IntEnum):
    """How the process ends; USAGE and 130 (interrupted) are set by typer too."""

    SERVER_ERROR = 1
    USAGE = 2
    MISSING_EXTRA = 3
    UNREACHABLE = 4
    DEADLINE = 5


def explain_file(error: OSError) -> str:
    """Which file, and why not."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def fail(message: str, code: ExitCode, *notes: str) -> NoReturn:
    """Print an error with notes (empty ones are left out), and leave."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), plain(message)))
    for note in notes:
        if note:
            console.print(Text("       ").append_text(plain(note)), style="dim")
    raise typer.Exit(code)
