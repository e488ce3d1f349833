"""Clients as the command line's general options say: with TLS, with a token."""

import os
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypedDict

from adaptermux_client.cli.failing import ExitCode, explain_file, fail
from adaptermux_client.security import TlsOptions
from adaptermux_client.sync_admin import AdminClient
from adaptermux_client.sync_client import AdapterMuxClient

TOKEN_VARIABLE = "ADAPTERMUX_TOKEN"


@dataclass(frozen=True, slots=True)
class Security:
    """What the general options say. No file of it has been read."""

    tls: TlsOptions | None = None
    token_file: Path | None = None


_OPEN = Security()
_chosen: ContextVar[Security] = ContextVar("chosen", default=_OPEN)


class _Shown(TypedDict):
    tls: TlsOptions | None
    token: str | None


def choose(security: Security) -> None:
    """Use this for the clients of the command that follows."""
    _chosen.set(security)


def chosen() -> Security:
    """What was last chosen."""
    return _chosen.get()


def data_client(address: str, timeout: float) -> AdapterMuxClient:
    """A client of the data listener. What is wrong with a file of the options ends the process as wrong usage."""
    try:
        return AdapterMuxClient(address, timeout=timeout, **_shown())
    except (OSError, ValueError) as error:
        _refuse(error)


def admin_client(address: str, timeout: float = 120.0) -> AdminClient:
    """As `data_client`, of the admin listener."""
    try:
        return AdminClient(address, timeout=timeout, **_shown())
    except (OSError, ValueError) as error:
        _refuse(error)


def _shown() -> _Shown:
    security = chosen()
    # A variable or a file, never an option: those of a process can be read by all users of the machine.
    file = security.token_file
    token = os.environ.get(TOKEN_VARIABLE) or None if file is None else file.read_text("utf-8").strip()
    return {"tls": security.tls, "token": token}


def _refuse(error: OSError | ValueError) -> NoReturn:
    fail(explain_file(error) if isinstance(error, OSError) else str(error), ExitCode.USAGE)
