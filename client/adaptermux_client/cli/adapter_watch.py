"""`adaptermux adapters watch`: one line for each event."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from adaptermux_client.admin_events import (
    AdapterChanged,
    AdapterRemoved,
    AliasChanged,
    AliasRemoved,
    SnapshotBegan,
    SnapshotEnded,
    WatchEvent,
)
from adaptermux_client.admin_results import AdapterInfo, AliasInfo
from adaptermux_client.cli import options
from adaptermux_client.cli.adapter_views import named, pairs, state, tier
from adaptermux_client.cli.alias_views import targets
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.output import jsonable, plain, show, stderr
from adaptermux_client.errors import AdapterMuxClientError

_KINDS: dict[type, str] = {
    SnapshotBegan: "snapshot_begin",
    SnapshotEnded: "snapshot_end",
    AdapterChanged: "adapter",
    AdapterRemoved: "adapter_removed",
    AliasChanged: "alias",
    AliasRemoved: "alias_removed",
}


def watch(
    *,
    resume: Annotated[
        str, typer.Option("--resume", metavar="TOKEN", help="Go on after the event that had this resume_token.")
    ] = "",
    reconnect: Annotated[
        bool, typer.Option("--reconnect/--no-reconnect", help="Whether to connect again after a lost connection.")
    ] = True,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document on each line.")] = False,
) -> None:
    """Follow adapters and aliases: all that there are, then every change, a line each, until interrupted."""
    with reporting(admin_address), admin_client(admin_address) as client:
        connection = _Connection()
        for event in client.watch_adapters(resume, reconnect=reconnect, on_lost=connection.lost):
            connection.found()
            if as_json:
                typer.echo(json.dumps({"event": _KINDS[type(event)], **jsonable(event)}, ensure_ascii=False))
            else:
                show(_line(event, datetime.now(UTC)))


class _Connection:
    """Tells of each loss once, however many tries it takes to mend it."""

    def __init__(self) -> None:
        self._is_lost = False

    def lost(self, error: AdapterMuxClientError) -> None:
        if not self._is_lost:
            stderr().print(plain(f"connection lost, trying again: {error.message}", "yellow"))
        self._is_lost = True

    def found(self) -> None:
        self._is_lost = False


def _line(event: WatchEvent, now: datetime) -> Text:
    time = Text(f"{now.astimezone():%H:%M:%S}  ", style="dim")
    return time.append_text(_told(event))


def _told(event: WatchEvent) -> Text:
    match event:
        case SnapshotBegan():
            return Text("all that there is:", style="dim")
        case SnapshotEnded():
            return Text("that is all; changes follow", style="dim")
        case AdapterChanged(adapter=adapter):
            return _adapter(adapter)
        case AdapterRemoved(adapter_id=adapter_id):
            return _named("adapter", adapter_id).append("  removed", style="red")
        case AliasChanged(alias=alias):
            return _alias(alias)
        case AliasRemoved(name=name):
            return _named("alias", name).append("  removed", style="red")


def _adapter(adapter: AdapterInfo) -> Text:
    line = _named("adapter", named(adapter)).append("  ").append_text(state(adapter))
    error = f"{adapter.error.reason}: {adapter.error.message}" if adapter.error else ""
    weight = f"weight {adapter.weight:g}" if adapter.weight not in (0.0, 1.0) else ""
    for fact in (tier(adapter), weight, pairs(adapter.metadata), error):
        if fact:
            line.append("  ").append_text(plain(fact.replace("\n", " "), "red" if fact is error else "dim"))
    return line


def _alias(alias: AliasInfo) -> Text:
    return _named("alias", alias.name).append(" → ").append_text(plain(targets(alias)))


def _named(kind: str, name: str) -> Text:
    return Text(f"{kind:<8}").append_text(plain(name, "bold"))
