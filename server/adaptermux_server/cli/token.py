"""`adaptermux token`: tokens for the file of `adaptermux serve --tokens-file`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from adaptermux_server.transport.security.admitting import append_entry
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.files import SecurityFileError
from adaptermux_server.transport.security.tokens import entry_of, new_token

_EXIT_USAGE = 2

app = typer.Typer(
    help="Make tokens for a server.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def _group() -> None:
    # Makes a group of what would be a single command, so that `new` must be said.
    pass


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it: for the audit log, and for messages.")],
    role: Annotated[Role, typer.Option(help="What it is good for: inference alone, or administration too.")],
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            metavar="PATTERN",
            help="What it may use: an id or alias, or how they begin with a * after it, or base. Repeatable. None: all",
        ),
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            metavar="DATE",
            help="The first day, or moment, at which it is no longer good; UTC unless it says otherwise. None: never.",
        ),
    ] = None,
    append: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Add the entry to this file, which is made if it isn't there, instead of printing it."
        ),
    ] = None,
) -> None:
    """Print a new token, once: it is kept nowhere. Its entry for the tokens file goes to stderr, or into FILE."""
    token = new_token()
    try:
        entry = entry_of(token, name, role, adapters or None, _zoned(expires))
        if append is not None:
            append_entry(append, entry)
    except SecurityFileError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(_EXIT_USAGE) from None
    if append is None:
        typer.echo(entry, nl=False, err=True)
    typer.echo(token)


def _zoned(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)
