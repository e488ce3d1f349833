"""`adaptermux adapters`: load, list, show and unload."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from adaptermux_client.admin_results import AdapterInfo, AdapterState, Executor
from adaptermux_client.cli import options
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.output import plain, print_json, show, table, waiting
from adaptermux_client.cli.units import size, span_of_time
from adaptermux_client.results import ProblemType
from adaptermux_client.sync_client import AdminClient

app = typer.Typer(
    help="Load, unload and look at adapters, through the admin listener.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

AdapterId = Annotated[str, typer.Argument(metavar="ID", help="The adapter's id.", show_default=False)]

_LOAD_TIMEOUT = 300.0
_NUM_NAMES = 20
_EXECUTORS = {
    Executor.BANK: "bank (shares batches with other adapters)",
    Executor.SWITCH: "switch (batches of its own)",
}
_LOADED = {AdapterState.READY: "loaded", AdapterState.LOADING: "loading", AdapterState.UNLOADED: "checked, not loaded:"}
_STATE_STYLES = {
    AdapterState.READY: "green",
    AdapterState.LOADING: "yellow",
    AdapterState.DRAINING: "yellow",
    AdapterState.FAILED: "bold red",
}


@app.command()
def load(
    adapter_id: AdapterId,
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="The adapter's folder on the server's machine, or a file:// URI. A relative path is taken from here.",
            show_default=False,
        ),
    ],
    *,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", help="A label's name, in the order of the logits; repeat it. None: the files' own."),
    ] = None,
    problem_type: Annotated[
        ProblemType, typer.Option(case_sensitive=False, help="How logits become scores; UNSPECIFIED: as the files say.")
    ] = ProblemType.UNSPECIFIED,
    weight: Annotated[float, typer.Option(help="Share of compute, relative to other adapters.")] = 1.0,
    max_wait: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Wait after which it is given precedence.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check everything and load nothing.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once, in state LOADING.")] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = _LOAD_TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Load an adapter while traffic flows; the same id with other content becomes a new revision."""
    with reporting(admin_address), AdminClient(admin_address, timeout=timeout) as client, waiting(f"loading {path}"):
        adapter = client.load_adapter(
            adapter_id,
            path if "://" in path else os.path.abspath(path),
            labels=labels or (),
            problem_type=problem_type,
            weight=weight,
            max_wait_seconds=max_wait,
            validate_only=check,
            return_immediately=no_wait,
        )
    _print(adapter, as_json, _LOADED.get(adapter.state, adapter.state))


@app.command("list")
def list_(
    state: Annotated[
        AdapterState | None, typer.Option(case_sensitive=False, help="Only adapters in this state.")
    ] = None,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List adapters by id."""
    with reporting(admin_address), AdminClient(admin_address, timeout=timeout) as client:
        adapters = list(client.adapters(state=state or AdapterState.UNSPECIFIED))
    if as_json:
        print_json({"adapters": adapters})
    else:
        show(_listing(adapters, datetime.now(UTC)))


@app.command("show")
def show_(
    adapter_id: AdapterId,
    *,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show all that the server knows of one adapter."""
    with reporting(admin_address), AdminClient(admin_address, timeout=timeout) as client:
        adapter = client.adapter(adapter_id)
    if as_json:
        print_json(adapter)
    else:
        show(_details(adapter))


@app.command()
def unload(
    adapter_id: AdapterId,
    *,
    drain_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for requests in flight.")
    ] = 30.0,
    force: Annotated[bool, typer.Option("--force", help="Fail the requests that wait in the queue.")] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    as_json: options.Json = False,
) -> None:
    """Let an adapter's requests in flight finish, then free it."""
    with reporting(admin_address), AdminClient(admin_address) as client, waiting(f"draining {adapter_id}"):
        adapter = client.unload_adapter(adapter_id, drain_timeout_seconds=drain_timeout, force=force)
    _print(adapter, as_json, "unloaded")


def _print(adapter: AdapterInfo, as_json: bool, what_happened: str) -> None:
    if as_json:
        print_json(adapter)
        return
    name = f"{adapter.id}@{adapter.revision[:8]}" if adapter.revision else adapter.id
    show(Text(f"{what_happened} ").append_text(plain(name, "bold")).append_text(plain(_summary(adapter), "dim")))


def _summary(adapter: AdapterInfo) -> str:
    if not adapter.peft_type:
        return ""
    labels = f"{len(adapter.labels)} labels" if adapter.labels else ""
    facts = (_words(adapter.task), labels, _method(adapter), _executor(adapter), size(adapter.size_bytes))
    return "".join(f" · {fact}" for fact in facts if fact)


def _listing(adapters: list[AdapterInfo], now: datetime) -> Table:
    grid = table(
        *("ID", "STATE", "TASK", "METHOD", "EXECUTOR", "LABELS", "SIZE", "ROWS", "LAST USED"),
        right=("LABELS", "SIZE", "ROWS"),
    )
    for adapter in adapters:
        grid.add_row(
            plain(adapter.id, "bold"),
            _state(adapter),
            _words(adapter.task),
            _method(adapter),
            _executor(adapter),
            str(len(adapter.labels) or ""),
            size(adapter.size_bytes),
            f"{adapter.num_rows_answered:,}",
            _ago(adapter.last_used_time, now),
        )
    return grid


def _details(adapter: AdapterInfo) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in _facts(adapter):
        if value:
            grid.add_row(Text(name, style="bold"), value if isinstance(value, Text) else plain(value))
    return grid


def _facts(adapter: AdapterInfo) -> list[tuple[str, str | Text]]:
    waits = "" if adapter.max_wait_seconds is None else f" · waits at most {adapter.max_wait_seconds:g} s"
    kind = "" if adapter.problem_type is ProblemType.UNSPECIFIED else f", {_words(adapter.problem_type)}"
    error = f"{adapter.error.reason}: {adapter.error.message}" if adapter.error else ""
    return [
        ("id", plain(adapter.id, "bold")),
        ("state", _state(adapter)),
        ("error", plain(error, "red")),
        ("revision", adapter.revision),
        ("task", "" if not adapter.peft_type else _words(adapter.task) + kind),
        ("labels", _first_few(adapter.labels)),
        ("method", _method(adapter)),
        ("executor", _EXECUTORS.get(adapter.executor, "")),
        ("targets", _first_few(_patterns(adapter.target_modules))),
        ("size", size(adapter.size_bytes) if adapter.size_bytes else ""),
        ("share", f"weight {adapter.weight:g}{waits}" if adapter.weight else ""),
        ("source", adapter.uri),
        ("loaded", adapter.load_time.isoformat(timespec="seconds") if adapter.load_time else ""),
        ("answered", f"{adapter.num_rows_answered:,} rows · {adapter.num_in_flight:,} requests in flight"),
    ]


def _patterns(modules: Sequence[str]) -> list[str]:
    """Names with their numbers left open, each once: what is adapted in every layer is one line."""
    return list(dict.fromkeys(re.sub(r"\b\d+\b", "*", module) for module in modules))


def _first_few(names: Sequence[str]) -> str:
    more = len(names) - _NUM_NAMES
    return ", ".join(names[:_NUM_NAMES]) + (f" … {more:,} more (--json has them all)" if more > 0 else "")


def _state(adapter: AdapterInfo) -> Text:
    return Text(adapter.state, style=_STATE_STYLES.get(adapter.state, ""))


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _method(adapter: AdapterInfo) -> str:
    return f"{adapter.peft_type} r={adapter.rank}" if adapter.rank else adapter.peft_type


def _executor(adapter: AdapterInfo) -> str:
    return "" if adapter.executor is Executor.UNSPECIFIED else _words(adapter.executor)


def _ago(time: datetime | None, now: datetime) -> str:
    return f"{span_of_time((now - time).total_seconds())} ago" if time else "never"
