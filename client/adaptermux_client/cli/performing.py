"""Comparing a manifest with a server, and doing the steps of a plan."""

from adaptermux_client.admin_calls import UNSET
from adaptermux_client.cli.failing import explain_file
from adaptermux_client.cli.manifest import AdapterEntry, AliasEntry, LocalFolder, Manifest, ServerUri, StoredRevision
from adaptermux_client.cli.output import uploading, waiting
from adaptermux_client.cli.plan import Action, Kind, Step, Wanted, plan
from adaptermux_client.contents import local_content
from adaptermux_client.errors import AdapterMuxClientError
from adaptermux_client.sync_admin import AdminClient

# Labels and problem type are a load's; all else can be changed by itself.
_OF_A_LOAD = {"labels", "problem_type"}


def compare(client: AdminClient, manifest: Manifest, *, prune: bool) -> list[Step]:
    """The plan for a server as it is now. Raises AdapterMuxClientError where it can't be asked."""
    adapters = {adapter.id: adapter for adapter in client.adapters()}
    aliases = {alias.name: alias for alias in client.aliases()}
    wanted = [_wanted(client, entry) for entry in manifest.adapters or ()]
    return plan(manifest, wanted, adapters, aliases, prune=prune)


def perform(client: AdminClient, step: Step) -> None:
    """Do one step. Raises AdapterMuxClientError and OSError."""
    match step:
        case Step(kind=Kind.ALIAS, action=Action.DELETE):
            client.delete_alias(step.name)
        case Step(action=Action.DELETE):
            with waiting(f"draining {step.name}"):
                client.delete_adapter(step.name)
        case Step(entry=AliasEntry() as alias):
            client.set_alias(alias.name, alias.targets)
        case Step(entry=AdapterEntry() as adapter, action=Action.UPDATE) if not _OF_A_LOAD & _changed(step):
            _update(client, adapter, _changed(step))
        case Step(entry=AdapterEntry() as adapter):
            _load(client, adapter, step)


def explain(error: AdapterMuxClientError | OSError) -> str:
    """A failure on one line."""
    if isinstance(error, OSError):
        return explain_file(error)
    return f"{error.reason or error.code.name}: {error.message}".replace("\n", " ")


def _wanted(client: AdminClient, entry: AdapterEntry) -> Wanted:
    try:
        return Wanted(entry, _revision(client, entry))
    except (AdapterMuxClientError, OSError) as error:
        return Wanted(entry, problem=explain(error))


def _revision(client: AdminClient, entry: AdapterEntry) -> str:
    match entry.source:
        case LocalFolder(path):
            return local_content(path).revision()
        case StoredRevision(revision):
            return revision
        case ServerUri(uri):
            # Only the server can read it: a load that checks and loads nothing tells the revision.
            checked = client.load_adapter(
                entry.id, uri, labels=entry.labels, problem_type=entry.problem_type, validate_only=True
            )
            return checked.revision


def _changed(step: Step) -> set[str]:
    return {change.what for change in step.changes}


def _update(client: AdminClient, entry: AdapterEntry, changed: set[str]) -> None:
    client.update_adapter(
        entry.id,
        weight=entry.weight if "weight" in changed else UNSET,
        max_wait_seconds=entry.max_wait_seconds if "max_wait_seconds" in changed else UNSET,
        pinned=entry.pinned if "pinned" in changed else UNSET,
        metadata=entry.metadata if "metadata" in changed else UNSET,
    )


def _load(client: AdminClient, entry: AdapterEntry, step: Step) -> None:
    uri, revision = None, step.revision
    if isinstance(entry.source, LocalFolder):
        with uploading(entry.id) as on_progress:
            revision = client.upload_adapter(entry.source.path, revision=revision, on_progress=on_progress).revision
    elif isinstance(entry.source, ServerUri):
        uri = entry.source.uri
    wait = entry.max_wait_seconds
    if wait is None and step.known is not None:
        wait = step.known.max_wait_seconds
    with waiting(f"loading {entry.id}"):
        client.load_adapter(
            entry.id,
            uri,
            revision=revision if uri is None else None,
            labels=entry.labels,
            problem_type=entry.problem_type,
            weight=entry.weight,
            max_wait_seconds=wait,
            pinned=entry.pinned,
            metadata=entry.metadata,
        )
