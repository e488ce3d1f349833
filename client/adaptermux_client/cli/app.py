"""The commands put together."""

from typing import Annotated

import typer

from adaptermux_client import __version__
from adaptermux_client.cli import adapters, aliases, analyze, apply, infer, options, serve, server, top, trace
from adaptermux_client.cli.connecting import Security, choose
from adaptermux_client.security import TlsOptions

_EPILOG = "\n\n".join(
    (
        "**Exit codes**: `0` done · `1` the server answered with an error, or isn't healthy · `2` wrong usage ·"
        " `3` an extra isn't installed · `4` no connection to the address · `5` the deadline passed ·"
        " `130` interrupted.",
        "Options of TLS and tokens stand before the command: `adaptermux --ca ca.pem status`.",
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
def _root(  # noqa: PLR0917  # typer calls it by names
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    tls: options.UseTls = False,
    ca: options.Ca = None,
    cert: options.Cert = None,
    key: options.Key = None,
    server_name: options.ServerName = None,
    token_file: options.TokenFile = None,
) -> None:
    if (cert is None) != (key is None):
        raise typer.BadParameter("give both or neither", param_hint="--cert, --key")
    wants_tls = tls or any((ca, cert, server_name))
    choose(Security(TlsOptions(ca, cert, key, server_name) if wants_tls else None, token_file))


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
app.command(rich_help_panel=_RUN, **serve.SETTINGS)(serve.token)
app.command(rich_help_panel=_RUN)(server.status)
app.command(rich_help_panel=_RUN)(server.model)
app.command(rich_help_panel=_RUN)(server.health)
app.command(rich_help_panel=_RUN)(top.top)
app.command(rich_help_panel=_RUN)(trace.trace)


def main() -> None:
    """Run the command that the process was called with."""
    app()
