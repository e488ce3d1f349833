"""`adaptermux adapters`: push, load, list, show, update, unload and delete."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from adaptermux_client.admin_calls import UNSET
from adaptermux_client.admin_results import AdapterInfo, AdapterState
from adaptermux_client.cli import adapter_diff, adapter_watch, options
from adaptermux_client.cli import adapter_options as given
from adaptermux_client.cli.adapter_options import AdapterId, metadata_of
from adaptermux_client.cli.adapter_views import details, listing, sentence
from adaptermux_client.cli.border import reading_files, reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.output import print_json, show, uploading, waiting
from adaptermux_client.results import ProblemType

app = typer.Typer(
    help="Load, change, unload and look at adapters, through the admin listener.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_LOADED = {AdapterState.READY: "loaded", AdapterState.LOADING: "loading", AdapterState.UNLOADED: "checked, not loaded:"}


@app.command()
def push(
    folder: given.Folder,
    *,
    adapter_id: Annotated[str, typer.Option("--id", metavar="ID", help="The adapter's id.", show_default=False)],
    labels: given.Labels = None,
    problem_type: given.Kind = ProblemType.UNSPECIFIED,
    weight: given.Weight = 1.0,
    max_wait: given.MaxWait = None,
    pin: given.Pin = False,
    meta: given.Meta = None,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = given.LOAD_TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Send a folder of this machine to the server and load it. What the server has already isn't sent again."""
    notes = metadata_of(meta)
    with reporting(admin_address), reading_files(), admin_client(admin_address, timeout) as client:
        with uploading(adapter_id) as on_progress:
            uploaded = client.upload_adapter(folder, on_progress=on_progress)
        with waiting(f"loading {adapter_id}"):
            adapter = client.load_adapter(
                adapter_id,
                revision=uploaded.revision,
                labels=labels or (),
                problem_type=problem_type,
                weight=weight,
                max_wait_seconds=max_wait,
                pinned=pin,
                metadata=notes,
            )
    _print(adapter, as_json, "loaded (its content was there)" if uploaded.already_stored else "pushed and loaded")


@app.command()
def load(
    adapter_id: AdapterId,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH",
            help="The adapter's folder on the server's machine, or a URI. A relative path is taken from here.",
            show_default=False,
        ),
    ] = None,
    *,
    revision: Annotated[
        str | None,
        typer.Option(metavar="SHA256", help="Instead of PATH: a content of the server's store, by its whole revision."),
    ] = None,
    labels: given.Labels = None,
    problem_type: given.Kind = ProblemType.UNSPECIFIED,
    weight: given.Weight = 1.0,
    max_wait: given.MaxWait = None,
    pin: given.Pin = False,
    meta: given.Meta = None,
    check: Annotated[bool, typer.Option("--check", help="Check everything and load nothing.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return at once, in state LOADING.")] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = given.LOAD_TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Load an adapter while traffic flows; the same id with other content becomes a new revision."""
    if (path is None) == (revision is None):
        raise typer.BadParameter("give either PATH or --revision", param_hint="PATH")
    notes, what = metadata_of(meta), path or revision
    with reporting(admin_address), admin_client(admin_address, timeout) as client, waiting(f"loading {what}"):
        adapter = client.load_adapter(
            adapter_id,
            path if path is None or "://" in path else os.path.abspath(path),
            revision=revision,
            labels=labels or (),
            problem_type=problem_type,
            weight=weight,
            max_wait_seconds=max_wait,
            pinned=pin,
            metadata=notes,
            validate_only=check,
            return_immediately=no_wait,
        )
    _print(adapter, as_json, _LOADED.get(adapter.state, adapter.state))


@app.command("list")
def list_(
    state: Annotated[
        AdapterState | None, typer.Option(case_sensitive=False, help="Only adapters in this state.")
    ] = None,
    filter_: Annotated[
        str,
        typer.Option(
            "--filter", metavar="FILTER", help="Only those that fit, as 'metadata.team = search AND NOT pinned = true'."
        ),
    ] = "",
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """List adapters by id."""
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        adapters = list(client.adapters(state=state or AdapterState.UNSPECIFIED, filter=filter_))
    if as_json:
        print_json({"adapters": adapters})
    else:
        show(listing(adapters, datetime.now(UTC)))


@app.command("show")
def show_(
    adapter_id: AdapterId,
    *,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show all that the server knows of one adapter."""
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        adapter = client.adapter(adapter_id)
    if as_json:
        print_json(adapter)
    else:
        show(details(adapter))


@app.command()
def update(
    adapter_id: AdapterId,
    *,
    weight: Annotated[
        float | None, typer.Option(help="Share of compute, relative to other adapters.", show_default=False)
    ] = None,
    max_wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Wait after which it is given precedence; 0: the server's default."
        ),
    ] = None,
    pin: Annotated[
        bool | None, typer.Option("--pin/--no-pin", help="Whether to keep it in the engine.", show_default=False)
    ] = None,
    meta: Annotated[
        list[str] | None,
        typer.Option("--meta", metavar="KEY=VALUE", help="Its notes, all of them anew; repeat it."),
    ] = None,
    no_meta: Annotated[bool, typer.Option("--no-meta", help="Remove its notes.")] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Change options of an adapter; those that aren't given stay as they are."""
    if meta and no_meta:
        raise typer.BadParameter("--meta and --no-meta exclude each other", param_hint="--meta")
    notes = metadata_of(meta) if meta or no_meta else UNSET
    if notes is UNSET and all(each is None for each in (weight, max_wait, pin)):
        raise typer.BadParameter("give at least one option to change", param_hint="--weight, --max-wait, --pin, --meta")
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        adapter = client.update_adapter(
            adapter_id,
            weight=UNSET if weight is None else weight,
            max_wait_seconds=UNSET if max_wait is None else max_wait or None,
            pinned=UNSET if pin is None else pin,
            metadata=notes,
        )
    if as_json:
        print_json(adapter)
    else:
        show(details(adapter))


@app.command()
def unload(
    adapter_id: AdapterId,
    *,
    drain_timeout: given.DrainTimeout = given.DRAIN_SECONDS,
    force: given.Force = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    as_json: options.Json = False,
) -> None:
    """Let an adapter's requests in flight finish, then free it. Its content can be loaded again for some days."""
    with reporting(admin_address), admin_client(admin_address) as client, waiting(f"draining {adapter_id}"):
        adapter = client.unload_adapter(adapter_id, drain_timeout_seconds=drain_timeout, force=force)
    _print(adapter, as_json, "unloaded")


@app.command()
def delete(
    adapter_id: AdapterId,
    *,
    drain_timeout: given.DrainTimeout = given.DRAIN_SECONDS,
    force: given.Force = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    as_json: options.Json = False,
) -> None:
    """Unload an adapter, and remove its content and that of its earlier revisions from the server's store."""
    with reporting(admin_address), admin_client(admin_address) as client, waiting(f"draining {adapter_id}"):
        adapter = client.delete_adapter(adapter_id, drain_timeout_seconds=drain_timeout, force=force)
    _print(adapter, as_json, "deleted")


app.command()(adapter_watch.watch)
app.command()(adapter_diff.diff)


def _print(adapter: AdapterInfo, as_json: bool, what_happened: str) -> None:
    if as_json:
        print_json(adapter)
    else:
        show(sentence(adapter, what_happened))
