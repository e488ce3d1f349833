"""The commands put together."""

from typing import Annotated

import typer

from adaptermux_client import __version__
from adaptermux_client.cli import adapters, aliases, analyze, apply, infer, serve, server

_EPILOG = "\n\n".join(
    (
        "**Exit codes**: `0` done · `1` the server answered with an error, or isn't healthy · `2` wrong usage ·"
        " `3` an extra isn't installed · `4` nobody answers at the address · `5` the deadline passed ·"
        " `130` interrupted.",
        "Answers go to stdout: tables for people, one JSON document with `--json`. All else goes to stderr.",
    )
)

app = typer.Typer(
    name="adaptermux",
    help="Ask many PEFT adapters on one shared transformer, and administer them.",
    epilog=_EPILOG,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"adaptermux {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


_ASK, _RUN = "Ask", "Run and look"
app.command(rich_help_panel=_ASK)(infer.classify)
app.command(rich_help_panel=_ASK)(infer.tag)
app.command(rich_help_panel=_ASK)(infer.answer)
app.command(rich_help_panel=_ASK)(infer.embed)
app.command(rich_help_panel=_ASK)(analyze.analyze)
app.command(rich_help_panel=_ASK)(infer.tokenize)
app.add_typer(adapters.app, name="adapters", rich_help_panel=_RUN)
app.add_typer(aliases.app, name="aliases", rich_help_panel=_RUN)
app.command(rich_help_panel=_RUN)(apply.apply)
app.command(rich_help_panel=_RUN, **serve.SETTINGS)(serve.serve)
app.command(rich_help_panel=_RUN, **serve.SETTINGS)(serve.config)
app.command(rich_help_panel=_RUN)(server.status)
app.command(rich_help_panel=_RUN)(server.model)
app.command(rich_help_panel=_RUN)(server.health)


def main() -> None:
    """Run the command that the process was called with."""
    app()
