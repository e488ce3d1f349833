"""`adaptermux adapters diff`: two adapters, or two revisions, by what the API says of them."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.table import Table

from adaptermux_client.admin_results import AdapterInfo
from adaptermux_client.cli import options
from adaptermux_client.cli.adapter_options import LOAD_TIMEOUT
from adaptermux_client.cli.adapter_views import first_few, method, named, pairs, patterns, words
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client
from adaptermux_client.cli.failing import ExitCode
from adaptermux_client.cli.output import plain, print_json, show, table, waiting
from adaptermux_client.cli.units import size
from adaptermux_client.sync_admin import AdminClient

_MIN_DIGITS = 8  # of a revision, as requests may name it

Ref = Annotated[str, typer.Argument(metavar="ID[@REVISION]", help="An adapter, or one of its revisions.")]


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that isn't the same of both."""

    fact: str
    first: str | tuple[str, ...]
    second: str | tuple[str, ...]


def diff(
    first: Ref,
    second: Ref,
    *,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = LOAD_TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Compare two adapters, or two revisions of one. Exits with 0 if they are the same, with 1 if they differ.

    What is compared: content, task, labels, method, rank, targets, size, executor; options too, of different ids. Of an
    earlier revision the server reads and checks the files again, so its labels are those that its files name.
    """
    with reporting(admin_address), admin_client(admin_address, timeout) as client, waiting("comparing"):
        one, other = _described(client, first), _described(client, second)
    found = differences(one, other)
    if as_json:
        print_json({"first": named(one), "second": named(other), "differences": found})
    elif found:
        show(_shown(named(one), named(other), found))
    else:
        show(plain(f"{named(one)} and {named(other)} are the same"))
    raise typer.Exit(ExitCode.SERVER_ERROR if found else 0)


def differences(one: AdapterInfo, other: AdapterInfo) -> list[Difference]:
    """All facts that differ, in the order of their weight. Options belong to an id, not to a revision of it."""
    facts, others = _facts(one), _facts(other)
    if one.id != other.id:
        facts, others = facts | _options(one), others | _options(other)
    return [Difference(fact, facts[fact], others[fact]) for fact in facts if facts[fact] != others[fact]]


def _facts(adapter: AdapterInfo) -> dict[str, str | tuple[str, ...]]:
    return {
        "revision": adapter.revision,
        "task": words(adapter.task),
        "problem type": words(adapter.problem_type),
        "labels": adapter.labels,
        "method": method(adapter),
        "targets": adapter.target_modules,
        "size": f"{size(adapter.size_bytes)} ({adapter.size_bytes:,} B)",
        "executor": words(adapter.executor),
    }


def _options(adapter: AdapterInfo) -> dict[str, str | tuple[str, ...]]:
    wait = adapter.max_wait_seconds
    return {
        "weight": f"{adapter.weight:g}",
        "max wait": "" if wait is None else f"{wait:g} s",
        "pinned": "yes" if adapter.pinned else "no",
        "metadata": pairs(adapter.metadata),
    }


def _shown(one: str, other: str, found: list[Difference]) -> Table:
    grid = table("", one, other)
    for each in found:
        shown = (_text(each.fact, value) for value in (each.first, each.second))
        grid.add_row(plain(each.fact, "bold"), *map(plain, shown))
    return grid


def _text(fact: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    return first_few(patterns(value) if fact == "targets" else value)


def _described(client: AdminClient, ref: str) -> AdapterInfo:
    """What the server says of `id` or `id@revision`."""
    adapter_id, at, prefix = ref.partition("@")
    adapter = client.adapter(adapter_id)
    if not at:
        return adapter
    revision = _whole(adapter, prefix)
    if revision == adapter.revision:
        return adapter
    # The API describes what serves. Of what served before, a load that only checks says what it would give.
    earlier = client.load_adapter(adapter_id, revision=revision, validate_only=True)
    return replace(earlier, id=adapter.id, revision=revision)


def _whole(adapter: AdapterInfo, prefix: str) -> str:
    known = [each for each in (adapter.revision, *adapter.earlier_revisions) if each and each.startswith(prefix)]
    if len(prefix) < _MIN_DIGITS or len(known) != 1:
        have = ", ".join(each[:_MIN_DIGITS] for each in (adapter.revision, *adapter.earlier_revisions) if each)
        raise typer.BadParameter(
            f"{adapter.id} has no revision {prefix!r} (at least {_MIN_DIGITS} digits); it has {have or 'none'}",
            param_hint="ID[@REVISION]",
        )
    return known[0]
