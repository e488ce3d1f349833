"""`adaptermux config`: what `adaptermux serve` would run with, from the same options, environment and file."""

from enum import StrEnum
from typing import Annotated

import typer

from adaptermux_server.cli.options import with_settings
from adaptermux_server.config import Configuration, OriginKind, as_json, as_toml


class Format(StrEnum):
    """How settings are written out."""

    TOML = "toml"
    JSON = "json"


app = typer.Typer(
    help="Look at the settings that the server would run with.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@with_settings
def show(
    found: Configuration,
    output: Annotated[Format, typer.Option("--format", help="As a settings file, or as one document.")] = Format.TOML,
) -> None:
    """Print every setting with its value and where it comes from: a flag, the environment, a file or a default.

    Secrets are hidden. Takes the options of `adaptermux serve`, and tells what that would run with.
    """
    typer.echo(as_json(found) if output is Format.JSON else as_toml(found), nl=False)


@app.command()
@with_settings
def check(found: Configuration) -> None:
    """Check the settings: exits with 0 if the server would take them, else with 2 and a line for each wrong one.

    Looks at the settings alone: whether the model can be read and the addresses are free shows at the start.
    """
    given = sum(origin.kind is not OriginKind.DEFAULT for origin in found.origins.values())
    typer.echo(f"settings are fine: {given} given, {len(found.origins) - given} by default")
