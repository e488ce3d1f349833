"""Commands of the durable lifecycle: push, load, update, delete, diff, aliases."""

import json
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client.contents import local_content
from tests.client.command_line import Run, document, lines
from tests.client.fake_answers import REVISION
from tests.client.fake_server import FakeServer
from tests.client.folders import adapter_folder

EARLIER = "77ae0b12" * 8


def test_push_sends_a_folder_and_loads_it(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """With its options; the second time it says that nothing was sent."""
    folder = adapter_folder(tmp_path)
    revision = local_content(folder).revision()
    command = ("adapters", "push", str(folder), "--id", "new", "--pin", "--weight", "2", "--max-wait", "0.5")

    first = run(*command, "--label", "no", "--label", "yes", "--meta", "team=search", "--meta", "note=a=b")
    second = run(*command)

    assert first.stdout.startswith(f"pushed and loaded new@{revision[:8]} · sequence classification · 2 labels")
    assert first.stdout.endswith("· pinned\n")
    assert first.stderr == ""
    assert second.stdout.startswith(f"loaded (its content was there) new@{revision[:8]}")
    assert server.script.requests[1] == pb.LoadAdapterRequest(
        adapter_id="new",
        revision=revision,
        labels=["no", "yes"],
        weight=2,
        max_wait=Duration(nanos=500_000_000),
        pinned=True,
        metadata={"team": "search", "note": "a=b"},
    )


def test_push_of_a_folder_without_weights_is_wrong_usage(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """One line that names the file."""
    result = run("adapters", "push", str(tmp_path), "--id", "new")

    assert (2, []) == (result.exit_code, server.script.requests)
    assert f"error: {tmp_path} has no adapter_config.json\n" == result.stderr


def test_load_by_revision(run: Run, server: FakeServer) -> None:
    """A rollback, for example."""
    result = run("adapters", "load", "sentiment", "--revision", REVISION, "--pin")

    assert result.stdout.startswith("loaded sentiment@3fa9c1d2")
    assert server.script.requests == [
        pb.LoadAdapterRequest(adapter_id="sentiment", revision=REVISION, weight=1, pinned=True)
    ]


@pytest.mark.parametrize(
    ("options", "paths", "changed"),
    [
        (("--weight", "3"), ["weight"], pb.Adapter(id="pos", weight=3)),
        (
            ("--pin", "--max-wait", "2"),
            ["max_wait", "pinned"],
            pb.Adapter(id="pos", pinned=True, max_wait=Duration(seconds=2)),
        ),
        (("--no-pin", "--max-wait", "0"), ["max_wait", "pinned"], pb.Adapter(id="pos")),
        (("--meta", "a=1"), ["metadata"], pb.Adapter(id="pos", metadata={"a": "1"})),
        (("--no-meta",), ["metadata"], pb.Adapter(id="pos")),
    ],
)
def test_update_changes_what_is_given(
    run: Run, server: FakeServer, options: tuple[str, ...], paths: list[str], changed: pb.Adapter
) -> None:
    """And shows the adapter."""
    shown = lines(run("adapters", "update", "pos", *options))

    assert ["id", "pos"] == shown[0]
    (request,) = server.script.requests
    assert (paths, changed) == (list(request.update_mask.paths), request.adapter)  # type: ignore[attr-defined]


def test_delete_says_what_it_did(run: Run, server: FakeServer) -> None:
    """Or why not: an alias points at it."""
    server.admin.aliases["prod"] = pb.Alias(name="prod", targets=[pb.AliasTarget(adapter="sentiment", weight=1)])

    deleted, refused = run("adapters", "delete", "pos"), run("adapters", "delete", "sentiment")

    assert (0, "deleted pos\n") == (deleted.exit_code, deleted.stdout)
    assert (1, "") == (refused.exit_code, refused.stdout)
    assert "ALIASED  adapter=sentiment  aliases=prod" in refused.stderr
    assert "adaptermux aliases" in refused.stderr


def test_list_shows_tiers_and_pins_and_sends_the_filter(run: Run, server: FakeServer) -> None:
    """Where each adapter is."""
    for name, tier, pinned in (("a", pb.TIER_DEVICE, True), ("b", pb.TIER_DISK, False)):
        server.admin.adapters[name] = pb.Adapter(id=name, state=pb.ADAPTER_STATE_READY, tier=tier, pinned=pinned)

    shown = lines(run("adapters", "list", "--filter", "metadata.team = search"))

    assert [["a", "READY", "device", "pinned"], ["b", "READY", "disk", "0"]] == [line[:4] for line in shown[1:3]]
    assert server.script.requests[0].filter == "metadata.team = search"  # type: ignore[attr-defined]


def test_show_tells_notes_tier_and_past(run: Run, server: FakeServer) -> None:
    """Whole revisions, since a load takes nothing less."""
    server.admin.adapters["a"] = pb.Adapter(
        id="a", tier=pb.TIER_HOST, pinned=True, metadata={"team": "search", "b": "1"}, earlier_revisions=[EARLIER]
    )

    shown = lines(run("adapters", "show", "a"))

    assert ["metadata", "b=1", "team=search"] in shown
    assert ["earlier", EARLIER] in shown
    assert ["tier", "host", "(in", "memory,", "some", "milliseconds", "away)", "·", "pinned"] in shown


def test_status_tells_tiers_and_bounds(run: Run) -> None:
    """A bound is told where there is one."""
    shown = run("status").stdout

    assert "adapters 685.9 KiB of 1.0 MiB in the engine · 1.3 MiB in host memory · 4.8 MiB in the store" in shown
    assert "1 DEVICE · 1 DISK" in shown
    assert "900 requests found theirs in the engine · 7 in host memory · 3 on disk" in shown


def test_diff_of_the_same_is_0(run: Run) -> None:
    """By id, and by a revision that serves."""
    result = run("adapters", "diff", "sentiment", "sentiment@3fa9c1d2")

    assert (0, "sentiment@3fa9c1d2 and sentiment@3fa9c1d2 are the same\n") == (result.exit_code, result.stdout)


def test_diff_of_two_adapters_is_1_and_lists_what_differs(run: Run) -> None:
    """Facts and options; what is the same isn't shown."""
    result = run("adapters", "diff", "sentiment", "pos")
    shown = [line.split() for line in result.stdout.splitlines()]

    assert result.exit_code == 1
    assert ["sentiment@3fa9c1d2", "pos@3fa9c1d2"] == shown[0]
    assert ["labels", "negative,", "positive", "DET,", "NOUN,", "VERB,", "ADJ"] in shown
    assert ["method", "LORA", "r=8", "IA3"] in shown
    assert ["weight", "1", "2"] in shown
    assert ["max", "wait", "0.25", "s"] in shown
    assert [] == [line for line in shown if line[0] == "revision"]


def test_diff_compares_names_one_by_one(run: Run, server: FakeServer) -> None:
    """Commas in labels join nothing; targets that repeat in every layer are told once, labels never."""
    for name, labels, layers in (("a", ["1 star, bad", "2 stars"], 2), ("b", ["1 star", "bad, 2 stars"], 3)):
        targets = [f"layer.{number}.query" for number in range(layers)]
        server.admin.adapters[name] = pb.Adapter(id=name, labels=labels, target_modules=targets)

    shown = run("adapters", "diff", "a", "b").stdout
    document = run("adapters", "diff", "a", "b", "--json").stdout

    assert "labels   1 star, bad, 2 stars  1 star, bad, 2 stars" in shown
    assert "targets  layer.*.query         layer.*.query" in shown
    first = {each["fact"]: each["first"] for each in json.loads(document)["differences"]}
    assert {"labels": ["1 star, bad", "2 stars"], "targets": ["layer.0.query", "layer.1.query"]} == first


def test_diff_of_an_earlier_revision_asks_for_a_check(run: Run, server: FakeServer) -> None:
    """Nothing is loaded, and options, which belong to the id, aren't compared."""
    server.admin.contents[EARLIER] = 1
    server.admin.adapters["sentiment"].earlier_revisions[:] = [EARLIER]
    server.admin.adapters["sentiment"].pinned = True

    found = run("adapters", "diff", "sentiment", "sentiment@77ae0b12", "--json")

    assert found.exit_code == 1
    assert '"fact": "revision"' in found.stdout
    assert '"fact": "pinned"' not in found.stdout
    load = server.script.requests[-1]
    assert pb.LoadAdapterRequest(adapter_id="sentiment", revision=EARLIER, weight=1, validate_only=True) == load


@pytest.mark.parametrize("ref", ["sentiment@00000000", "sentiment@3fa9", "sentiment@"])
def test_diff_of_a_revision_that_is_not_known_is_wrong_usage(run: Run, ref: str) -> None:
    """It tells those that are."""
    result = run("adapters", "diff", "sentiment", ref)

    assert result.exit_code == 2
    assert "it has 3fa9c1d2" in " ".join(result.stderr.split())


def test_aliases_set_list_and_delete(run: Run) -> None:
    """Shares are shown, whatever the weights add up to."""
    assert run("aliases", "set", "prod", "sentiment").stdout == "set prod → sentiment\n"
    assert run("aliases", "set", "split", "sentiment@3fa9c1d2=90", "pos=30").stdout == (
        "set split → sentiment@3fa9c1d2 75%, pos 25%\n"
    )
    listed = lines(run("aliases", "list"))

    assert ["ALIAS", "TARGET", "WEIGHT", "SHARE", "SET"] == listed[0]
    assert ["prod", "sentiment", "1", "100.0%"] == listed[1][:4]
    assert [["split", "sentiment@3fa9c1d2", "90", "75.0%"], ["pos", "30", "25.0%"]] == [listed[2][:4], listed[3]]
    assert document(run("aliases", "list", "--json"))["aliases"][1]["targets"] == [
        {"adapter": f"sentiment@{REVISION}", "weight": 90},
        {"adapter": "pos", "weight": 30},
    ]
    assert run("aliases", "delete", "prod").stdout == "deleted prod → sentiment\n"
    assert run("aliases", "delete", "prod").exit_code == 1
