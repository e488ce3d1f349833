"""`adaptermux apply`: make a server's adapters and aliases what a manifest says."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from adaptermux_client.cli import manifest, options
from adaptermux_client.cli.adapter_options import LOAD_TIMEOUT
from adaptermux_client.cli.border import reading_files, reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.failing import ExitCode, fail
from adaptermux_client.cli.output import plain, print_json, show, table, waiting
from adaptermux_client.cli.performing import compare, explain, perform
from adaptermux_client.cli.plan import Action, Step
from adaptermux_client.cli.yaml_fields import ManifestError
from adaptermux_client.errors import AdapterMuxClientError
from adaptermux_client.sync_admin import AdminClient

_STYLES = {
    Action.CREATE: "green",
    Action.NEW_REVISION: "cyan",
    Action.UPDATE: "yellow",
    Action.UNCHANGED: "dim",
    Action.DELETE: "red",
    Action.UNKNOWN: "bold red",
}
_DONE = {
    Action.CREATE: "created",
    Action.NEW_REVISION: "new revision",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
}
_SKIPPED = "not deleted, since something failed before"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step; `problem` is empty where it was done, or there was nothing to do."""

    step: Step
    problem: str = ""


def apply(
    *,
    file: Annotated[
        Path, typer.Option("--file", "-f", metavar="FILE", help="The manifest, in YAML.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete adapters, and aliases, that aren't in the manifest.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and leave.")] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = LOAD_TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Make a server's adapters and aliases what a manifest says: show the plan, ask, then do it.

    Adapters come first, then aliases, then what --prune deletes. What fails is told and the rest goes on, but nothing
    is deleted after a failure. Exits with 1 if anything failed. Applied twice, a manifest does nothing the second time.
    """
    wanted = _read(file)
    if as_json and not (yes or dry_run):
        raise typer.BadParameter("needs --yes or --dry-run: a document can't ask", param_hint="--json")
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        with waiting("comparing"):
            steps = compare(client, wanted, prune=prune)
        outcomes = [Outcome(step, step.problem) for step in steps]
        if not as_json:
            _show_plan(steps)
        if not dry_run and any(step.does_something for step in steps):
            if not yes:
                typer.confirm("Do this?", abort=True, err=True)
            outcomes = _told(_performed(client, steps), silently=as_json)
    if as_json:
        print_json({"steps": [_document(outcome) for outcome in outcomes]})
    if any(outcome.problem for outcome in outcomes):
        raise typer.Exit(ExitCode.SERVER_ERROR)


def _read(file: Path) -> manifest.Manifest:
    with reading_files():
        try:
            return manifest.read(file)
        except ManifestError as error:
            fail(str(error), ExitCode.USAGE)
    raise AssertionError("both ways out are above")


def _performed(client: AdminClient, steps: Iterable[Step]) -> Iterator[Outcome]:
    """Do the steps one after the other; a failure ends none but the deletions."""
    has_failed = False
    for step in steps:
        problem = step.problem
        if step.action is Action.DELETE and has_failed:
            problem = _SKIPPED
        elif step.does_something:
            try:
                perform(client, step)
            except (AdapterMuxClientError, OSError) as error:
                problem = explain(error)
        has_failed = has_failed or bool(problem)
        yield Outcome(step, problem)


def _told(outcomes: Iterable[Outcome], *, silently: bool) -> list[Outcome]:
    """All outcomes, each told as it comes, and how many there were of each kind."""
    found = []
    for outcome in outcomes:
        found.append(outcome)
        if not silently and outcome.step.action is not Action.UNCHANGED:
            show(_line(outcome))
    if not silently:
        counts = Counter(_kind(outcome) for outcome in found if outcome.step.action is not Action.UNCHANGED)
        show(plain(", ".join(f"{count} {kind}" for kind, count in counts.items()), "bold"))
    return found


def _kind(outcome: Outcome) -> str:
    if outcome.problem:
        return "not deleted" if outcome.problem == _SKIPPED else "failed"
    return _DONE[outcome.step.action]


def _line(outcome: Outcome) -> Text:
    step = outcome.step
    name = Text(f"{step.kind} ").append_text(plain(step.name, "bold"))
    if outcome.problem:
        return name.append(": ").append_text(plain(outcome.problem, "red"))
    return name.append(f" {_DONE[step.action]}", style=_STYLES[step.action])


def _show_plan(steps: Sequence[Step]) -> None:
    if steps:
        show(_plan(steps))
    if not any(step.does_something or step.problem for step in steps):
        show(plain("nothing to do"))


def _plan(steps: Sequence[Step]) -> Table:
    grid = table("KIND", "NAME", "ACTION", "WHAT")
    for step in steps:
        action = Text(step.action, style=_STYLES[step.action])
        grid.add_row(step.kind, plain(step.name, "bold"), action, plain(step.what))
    return grid


def _document(outcome: Outcome) -> dict[str, object]:
    step = outcome.step
    return {
        "kind": step.kind,
        "name": step.name,
        "action": step.action,
        "changes": step.changes,
        "revision": step.revision,
        "problem": outcome.problem,
    }
