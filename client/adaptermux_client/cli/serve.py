"""`adaptermux serve`, `config` and `token`: the server's package plugs them in, the light client does without."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import typer

from adaptermux_client.cli.failing import ExitCode, fail

_GROUP = "adaptermux.commands"
_HINT = "pip install 'adaptermux[server]'"

SETTINGS: dict[str, Any] = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
"""All arguments, --help among them, are for the plugged-in command."""


def serve(context: typer.Context) -> None:
    """Serve adapters over gRPC; needs the extra `server`."""
    _run("serve", context.args)


def config(context: typer.Context) -> None:
    """Show or check the settings that a server would run with; needs the extra `server`."""
    _run("config", context.args)


def token(context: typer.Context) -> None:
    """Make tokens for a server; needs the extra `server`."""
    _run("token", context.args)


def _run(name: str, arguments: Sequence[str]) -> None:
    try:
        _plugged_in(name)(args=arguments, prog_name=f"adaptermux {name}")
    except ModuleNotFoundError as error:
        fail(f"the server needs a package that isn't installed: {error.name}", ExitCode.MISSING_EXTRA, _HINT)


def _plugged_in(name: str) -> typer.Typer:
    """A command, or a group of them, as an application of its own.

    Raises ModuleNotFoundError if part of the server isn't installed.
    """
    for point in entry_points(group=_GROUP, name=name):
        found = point.load()
        if isinstance(found, typer.Typer):
            return found
        application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
        application.command()(found)
        return application
    raise ModuleNotFoundError("no command", name="adaptermux_server")
