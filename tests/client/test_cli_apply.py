"""`adaptermux apply`: the plan that it shows, what it does, and what it says when something fails."""

import json
from pathlib import Path

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client.contents import local_content
from tests.client.command_line import Run, document, lines
from tests.client.fake_answers import REVISION, failure
from tests.client.fake_server import FakeServer
from tests.client.folders import adapter_folder

STORE_FULL = failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full", "STORE_FULL")


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A new adapter, one that stays, an alias for both."""
    adapter_folder(tmp_path / "adapters" / "new")
    return written(
        tmp_path,
        f"""
adapters:
  new: {{path: adapters/new, pinned: true, metadata: {{team: search}}}}
  sentiment: {{revision: {REVISION}}}
aliases:
  prod: {{new: 90, sentiment: 10}}
""",
    )


def written(folder: Path, text: str) -> Path:
    """A manifest with this text."""
    path = folder / "adapters.yaml"
    path.write_text(text)
    return path


def changes(server: FakeServer) -> list[str]:
    """Kinds of the requests that changed something, in their order."""
    reads = (pb.ListAdaptersRequest, pb.ListAliasesRequest)
    kinds = [type(each).__name__ for each in server.script.requests if not isinstance(each, reads)]
    return [kind.removesuffix("Request") for kind in kinds]


def test_applying_twice_does_nothing_the_second_time(run: Run, server: FakeServer, manifest: Path) -> None:
    """The first time adapters come before the aliases that name them."""
    first = run("apply", "-f", str(manifest), "--yes")
    done = changes(server)
    second = run("apply", "-f", str(manifest), "--yes")

    revision = local_content(manifest.parent / "adapters" / "new").revision()
    assert [line.split() for line in first.stdout.splitlines()] == [
        ["KIND", "NAME", "ACTION", "WHAT"],
        ["adapter", "new", "create", revision[:8]],
        ["adapter", "sentiment", "unchanged", "3fa9c1d2"],
        ["alias", "prod", "create", "new=90,", "sentiment=10"],
        ["adapter", "new", "created"],
        ["alias", "prod", "created"],
        ["2", "created"],
    ]
    assert (0, "", ["UploadAdapter", "LoadAdapter", "SetAlias"]) == (first.exit_code, first.stderr, done)
    assert (0, "nothing to do") == (second.exit_code, second.stdout.splitlines()[-1])
    assert len(done) == len(changes(server))
    assert (True, {"team": "search"}) == (
        server.admin.adapters["new"].pinned,
        dict(server.admin.adapters["new"].metadata),
    )


@pytest.mark.parametrize(("answer", "exit_code", "num_changes"), [("y\n", 0, 3), ("n\n", 1, 0), ("", 1, 0)])
def test_it_asks_first(  # noqa: PLR0917
    run: Run, server: FakeServer, manifest: Path, answer: str, exit_code: int, num_changes: int
) -> None:
    """No answer is a no; the question isn't an answer, so it goes to stderr."""
    result = run("apply", "-f", str(manifest), stdin=answer)

    assert (exit_code, num_changes) == (result.exit_code, len(changes(server)))
    assert "Do this?" in result.stderr


def test_a_dry_run_shows_the_plan_and_changes_nothing(run: Run, server: FakeServer, manifest: Path) -> None:
    """As a document too."""
    shown = lines(run("apply", "-f", str(manifest), "--dry-run"))
    found = document(run("apply", "-f", str(manifest), "--dry-run", "--json"))

    assert ["adapter", "new", "create"] == shown[1][:3]
    assert ["create", "unchanged", "create"] == [step["action"] for step in found["steps"]]
    assert [] == changes(server)


@pytest.mark.parametrize(
    ("options", "told", "path"),
    [
        ("pinned: true, weight: 2", "pinned false → true", "pinned"),
        ("weight: 3", "weight 2 → 3", "weight"),
        ("weight: 2, max_wait_seconds: 1", "max_wait_seconds none → 1", "max_wait"),
        ("weight: 2, metadata: {a: b}", "metadata none → a=b", "metadata"),
    ],
)
def test_options_change_without_a_load(  # noqa: PLR0917
    run: Run, server: FakeServer, tmp_path: Path, options: str, told: str, path: str
) -> None:
    """Those alone that differ."""
    file = written(tmp_path, f"adapters:\n  pos: {{revision: {REVISION}, {options}}}\n")

    result = run("apply", "-f", str(file), "--yes")

    assert ["adapter", "pos", "update", *told.split()] in lines(result)
    request = server.script.requests[-1]
    assert isinstance(request, pb.UpdateAdapterRequest)
    assert [path] == list(request.update_mask.paths)


def test_labels_change_with_a_load_of_the_same_content(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """A wait that the manifest leaves out stays as it is."""
    path = written(tmp_path, f"adapters:\n  sentiment: {{revision: {REVISION}, labels: [no, yes]}}\n")

    run("apply", "-f", str(path), "--yes")

    request = server.script.requests[-1]
    assert isinstance(request, pb.LoadAdapterRequest)
    assert (REVISION, ["no", "yes"]) == (request.revision, list(request.labels))
    assert request.max_wait.ToMilliseconds() == 250


def test_a_new_content_of_a_folder_is_a_new_revision(run: Run, server: FakeServer, manifest: Path) -> None:
    """Told by both."""
    before = local_content(manifest.parent / "adapters" / "new").revision()
    run("apply", "-f", str(manifest), "--yes")
    after = local_content(adapter_folder(manifest.parent / "adapters" / "new", b"other")).revision()

    result = run("apply", "-f", str(manifest), "--yes")

    told = ["adapter", "new", "new", "revision", "revision", before[:8], "→", after[:8]]
    assert told in lines(result)
    assert after == server.admin.adapters["new"].revision
    assert "1 new revision" == result.stdout.splitlines()[-1]


def test_what_is_behind_a_uri_is_asked_of_the_server(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """A check that loads nothing tells whether the content is another."""
    path = written(tmp_path, 'adapters:\n  remote: {uri: "s3://b/a"}\n')
    run("apply", "-f", str(path), "--yes")
    same = run("apply", "-f", str(path), "--yes")
    server.admin.revision_at["s3://b/a"] = "77ae0b12" * 8
    other = run("apply", "-f", str(path), "--dry-run")

    assert "nothing to do" in same.stdout
    assert ["adapter", "remote", "new", "revision", "revision", "3fa9c1d2", "→", "77ae0b12"] in lines(other)
    loads = [each for each in server.script.requests if isinstance(each, pb.LoadAdapterRequest)]
    assert [True, False, True, True] == [each.validate_only for each in loads]


def test_prune_deletes_aliases_and_then_adapters(run: Run, server: FakeServer, manifest: Path) -> None:
    """Without it nothing is deleted."""
    server.admin.aliases["old"] = pb.Alias(name="old", targets=[pb.AliasTarget(adapter="pos", weight=1)])

    run("apply", "-f", str(manifest), "--yes")
    kept = "pos" in server.admin.adapters
    result = run("apply", "-f", str(manifest), "--yes", "--prune")

    assert kept
    assert ["DeleteAlias", "DeleteAdapter"] == changes(server)[-2:]
    assert ["alias old deleted", "adapter pos deleted", "2 deleted"] == result.stdout.splitlines()[-3:]


def test_a_failure_is_told_and_the_rest_goes_on(run: Run, server: FakeServer, manifest: Path) -> None:
    """But nothing is deleted after it: what should take its place may be what failed."""
    manifest.write_text(
        f"""
adapters:
  lost: {{path: no/such/folder}}
  new: {{path: adapters/new}}
  other: {{revision: {"0" * 64}}}
aliases:
  prod: new
"""
    )

    result = run("apply", "-f", str(manifest), "--yes", "--prune")

    told = result.stdout.splitlines()[-7:]
    assert result.exit_code == 1
    assert told[0].startswith("adapter lost: ")
    assert told[0].endswith("/no/such/folder: No such file or directory")
    assert told[1:] == [
        "adapter new created",
        "adapter other: REVISION_NOT_FOUND: no such content",
        "alias prod created",
        "adapter pos: not deleted, since something failed before",
        "adapter sentiment: not deleted, since something failed before",
        "2 failed, 2 created, 2 not deleted",
    ]
    assert {"new", "pos", "sentiment"} == set(server.admin.adapters)


def test_a_failure_is_in_the_document_too(run: Run, server: FakeServer, manifest: Path) -> None:
    """With exit code 1, and the document is all there is on stdout."""
    server.admin.refuse_upload_after = (1, STORE_FULL)

    result = run("apply", "-f", str(manifest), "--yes", "--json")

    problems = [step["problem"] for step in json.loads(result.stdout)["steps"]]
    assert 1 == result.exit_code
    assert "STORE_FULL: the disk is full" == problems[0]
    assert "" == problems[1]


def test_a_mistake_in_the_manifest_is_wrong_usage(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """The file and the line are named, and nothing is asked of the server."""
    path = written(tmp_path, "adapters:\n  a: {path: x, pined: true}\n")

    result = run("apply", "-f", str(path))

    assert (2, []) == (result.exit_code, server.script.requests)
    assert result.stderr.startswith(f"error: {path}, line 2: pined isn't known")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("-f", "/no/such.yaml"), "No such file"), (("-f", "{manifest}", "--json"), "needs --yes or --dry-run")],
)
def test_wrong_usage(run: Run, manifest: Path, arguments: tuple[str, ...], message: str) -> None:
    """Told in a line."""
    result = run("apply", *(each.format(manifest=manifest) for each in arguments))

    assert 2 == result.exit_code
    assert message in " ".join(result.stderr.split())


def test_nobody_at_the_address_is_unreachable(run: Run, server: FakeServer, manifest: Path) -> None:
    """Before any plan."""
    server.close()

    result = run("apply", "-f", str(manifest), "--yes")

    assert (4, "") == (result.exit_code, result.stdout)
