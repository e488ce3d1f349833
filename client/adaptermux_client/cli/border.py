"""The border of every command: failures become one clear line on stderr and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from adaptermux_client.cli.connecting import chosen
from adaptermux_client.cli.diagnosis import diagnose
from adaptermux_client.cli.failing import ExitCode, explain_file, fail
from adaptermux_client.errors import (
    AdapterMuxClientError,
    DeadlineExceededError,
    DrainTimeoutError,
    SourceUnavailableError,
    TaskMismatchError,
    UnavailableError,
)

_COMMANDS = {"Classify": "classify", "TagTokens": "tag", "Answer": "answer", "Embed": "embed"}
_ADVICE = {
    "ADAPTER_NOT_FOUND": "adaptermux adapters list shows those that are loaded",
    "ALIAS_NOT_FOUND": "adaptermux aliases list shows those that there are",
    "UNAUTHENTICATED": "the token comes from the variable ADAPTERMUX_TOKEN, or adaptermux --token-file FILE",
    "ALIASED": "adaptermux aliases set moves an alias, adaptermux aliases delete removes it",
    "REVISION_NOT_FOUND": "adaptermux adapters push sends it",
}
"""What to do, by reason."""
_NOBODY = "is the server running there? --address and --admin-address choose another"


@contextmanager
def reporting(address: str) -> Iterator[None]:
    """Report a failure of calls to `address` and leave with its exit code."""
    try:
        yield
    except AdapterMuxClientError as error:
        fail(_headline(error, address), _exit_code(error), _facts(error), _when(error), _advice(error, address))


@contextmanager
def reading_files() -> Iterator[None]:
    """Report what can't be read on this machine, as wrong usage."""
    try:
        yield
    except OSError as error:
        fail(explain_file(error), ExitCode.USAGE)


def _headline(error: AdapterMuxClientError, address: str) -> str:
    if isinstance(error, UnavailableError) and not error.reason:
        return f"no connection to {address}"
    if isinstance(error, DeadlineExceededError) and not error.reason:
        return f"{address} gave no answer before the deadline"
    return error.message


def _exit_code(error: AdapterMuxClientError) -> ExitCode:
    match error:
        case DrainTimeoutError() | SourceUnavailableError():
            return ExitCode.SERVER_ERROR
        case UnavailableError():
            return ExitCode.UNREACHABLE
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


def _advice(error: AdapterMuxClientError, address: str) -> str:
    match error:
        case TaskMismatchError(metadata={"rpc": rpc}) if rpc in _COMMANDS:
            return f"adaptermux {_COMMANDS[rpc]} asks it"
        case UnavailableError(reason=""):
            wrong = diagnose(address, chosen().tls) or _NOBODY
            return f"{wrong}\n       {error.message}"
        case DeadlineExceededError(reason=""):
            return "--timeout gives it more"
        case AdapterMuxClientError(code=grpc.StatusCode.UNIMPLEMENTED):
            return "this listener doesn't serve that; --address is the data listener, --admin-address the admin one"
        case _:
            return _ADVICE.get(error.reason, "")
