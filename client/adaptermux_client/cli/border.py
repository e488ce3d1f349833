"""The border of every command: failures become one clear line on stderr and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import grpc
import typer
from rich.text import Text

from adaptermux_client.cli.output import plain, stderr
from adaptermux_client.errors import (
    AdapterMuxClientError,
    AdapterNotFoundError,
    DeadlineExceededError,
    DrainTimeoutError,
    TaskMismatchError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """How the process ends; 2 (usage) and 130 (interrupted) are set by typer."""

    SERVER_ERROR = 1
    MISSING_EXTRA = 3
    UNREACHABLE = 4
    DEADLINE = 5


_COMMANDS = {"Classify": "classify", "TagTokens": "tag", "Answer": "answer", "Embed": "embed"}


@contextmanager
def reporting(address: str) -> Iterator[None]:
    """Report a failure of calls to `address` and leave with its exit code."""
    try:
        yield
    except AdapterMuxClientError as error:
        fail(_headline(error, address), _exit_code(error), _facts(error), _when(error), _advice(error))


def fail(message: str, code: ExitCode, *notes: str) -> None:
    """Print an error with notes (empty ones are left out), and leave."""
    console = stderr()
    console.print(Text.assemble(("error: ", "bold red"), plain(message)))
    for note in notes:
        if note:
            console.print(Text("       ").append_text(plain(note)), style="dim")
    raise typer.Exit(code)


def _headline(error: AdapterMuxClientError, address: str) -> str:
    if isinstance(error, UnavailableError) and not error.reason:
        return f"nobody answers at {address}"
    if isinstance(error, DeadlineExceededError) and not error.reason:
        return f"{address} gave no answer before the deadline"
    return error.message


def _exit_code(error: AdapterMuxClientError) -> ExitCode:
    match error:
        case UnavailableError():
            return ExitCode.UNREACHABLE
        case DrainTimeoutError():
            return ExitCode.SERVER_ERROR
        case DeadlineExceededError():
            return ExitCode.DEADLINE
        case _:
            return ExitCode.SERVER_ERROR


def _facts(error: AdapterMuxClientError) -> str:
    """What programs branch on, for a person who writes one or asks for help."""
    facts = [f"{key}={value}" for key, value in sorted(error.metadata.items()) if value]
    return "  ".join([error.reason or error.code.name, *facts])


def _when(error: AdapterMuxClientError) -> str:
    return "" if error.retry_after_seconds is None else f"retry in {error.retry_after_seconds:g} s"


def _advice(error: AdapterMuxClientError) -> str:
    match error:
        case TaskMismatchError(metadata={"rpc": rpc}) if rpc in _COMMANDS:
            return f"adaptermux {_COMMANDS[rpc]} asks it"
        case AdapterNotFoundError():
            return "adaptermux adapters list shows those that are loaded"
        case UnavailableError(reason=""):
            return f"is the server running there? --address and --admin-address choose another\n       {error.message}"
        case DeadlineExceededError(reason=""):
            return "--timeout gives it more"
        case AdapterMuxClientError(code=grpc.StatusCode.UNIMPLEMENTED):
            return "this listener doesn't serve that; --address is the data listener, --admin-address the admin one"
        case _:
            return ""
