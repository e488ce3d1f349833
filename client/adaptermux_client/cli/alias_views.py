"""Aliases as people read them."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from adaptermux_client.admin_results import AliasInfo, AliasTarget
from adaptermux_client.cli.output import plain, table
from adaptermux_client.cli.units import span_of_time

_SHORT = 8  # digits of a revision


def short_target(target: AliasTarget) -> str:
    """A target with the beginning of its revision."""
    adapter_id, at, revision = target.adapter.partition("@")
    return f"{adapter_id}{at}{revision[:_SHORT]}"


def targets(alias: AliasInfo) -> str:
    """Its targets on one line, with their shares where there are several."""
    if len(alias.targets) == 1:
        return short_target(alias.targets[0])
    total = sum(target.weight for target in alias.targets) or 1
    return ", ".join(f"{short_target(target)} {target.weight / total:.0%}" for target in alias.targets)


def listing(aliases: Sequence[AliasInfo], now: datetime) -> Table:
    """Aliases, with a line for each target."""
    grid = table("ALIAS", "TARGET", "WEIGHT", "SHARE", "SET", right=("WEIGHT", "SHARE"))
    for alias in aliases:
        total = sum(target.weight for target in alias.targets) or 1
        for number, target in enumerate(alias.targets):
            grid.add_row(
                plain("" if number else alias.name, "bold"),
                plain(short_target(target)),
                str(target.weight),
                f"{target.weight / total:.1%}",
                "" if number else _ago(alias.update_time, now),
            )
    return grid


def _ago(time: datetime | None, now: datetime) -> str:
    return f"{span_of_time((now - time).total_seconds())} ago" if time else ""
