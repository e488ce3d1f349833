"""`adaptermux aliases`: list, set and delete."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from adaptermux_client.admin_results import AliasInfo
from adaptermux_client.cli import options
from adaptermux_client.cli.alias_views import listing, targets
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.output import plain, print_json, show

app = typer.Typer(
    help="Names that requests may use in the place of an adapter's id, through the admin listener.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The alias's name.", show_default=False)]


@app.command("list")
def list_(
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List aliases by name, with their targets."""
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        aliases = list(client.aliases())
    if as_json:
        print_json({"aliases": aliases})
    else:
        show(listing(aliases, datetime.now(UTC)))


@app.command("set")
def set_(
    name: Name,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET[=WEIGHT]…",
            help="Adapters' ids, or ID@REVISION, with their shares relative to each other (1 where none is given).",
            show_default=False,
        ),
    ],
    *,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Make an alias, or move it with all its targets in one step."""
    weights = _weights(targets)
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        alias = client.set_alias(name, weights)
    _print(alias, as_json, "set")


@app.command()
def delete(
    name: Name,
    *,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Remove an alias; its adapters stay."""
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        alias = client.delete_alias(name)
    _print(alias, as_json, "deleted")


def _weights(given: list[str]) -> dict[str, int]:
    """Targets with their weights. Wrong usage: a weight that is no whole number from 1 on, a target given twice."""
    weights: dict[str, int] = {}
    for text in given:
        target, equals, weight = text.partition("=")
        if not target or (equals and not (weight.isascii() and weight.isdecimal() and int(weight))):
            raise typer.BadParameter(f"is TARGET or TARGET=WEIGHT, from 1 on, not {text!r}", param_hint="TARGET")
        if target in weights:
            raise typer.BadParameter(f"{target} is given twice", param_hint="TARGET")
        weights[target] = int(weight) if equals else 1
    return weights


def _print(alias: AliasInfo, as_json: bool, what_happened: str) -> None:
    if as_json:
        print_json(alias)
        return
    line = Text(f"{what_happened} ").append_text(plain(alias.name, "bold"))
    show(line.append_text(plain(f" → {targets(alias)}")) if alias.targets else line)
