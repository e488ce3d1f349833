"""The calls of the durable lifecycle, blocking and asyncio: options, masks, aliases, request keys."""

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client import UNSET, AdapterState, AliasInfo, AliasTarget, AnalyzeRequest, Tier, TierCounts, errors
from tests.client.conftest import Ask
from tests.client.fake_answers import REVISION
from tests.client.fake_server import FakeServer


async def test_a_load_by_revision_names_no_source(ask_admin: Ask, server: FakeServer) -> None:
    """Pins and notes are sent with it."""
    adapter = await ask_admin("load_adapter", "new", revision=REVISION, pinned=True, metadata={"team": "search"})

    assert (REVISION, True, {"team": "search"}) == (adapter.revision, adapter.pinned, adapter.metadata)
    assert server.script.requests == [
        pb.LoadAdapterRequest(adapter_id="new", revision=REVISION, weight=1, pinned=True, metadata={"team": "search"})
    ]


@pytest.mark.parametrize("arguments", [{}, {"source": "/a", "revision": REVISION}])
async def test_a_load_needs_one_source(ask_admin: Ask, server: FakeServer, arguments: dict[str, str]) -> None:
    """Neither or both is the caller's mistake, and isn't sent."""
    with pytest.raises(ValueError, match="either a source or a revision"):
        await ask_admin("load_adapter", "new", **arguments)

    assert server.script.requests == []


async def test_a_content_that_is_not_in_the_store_is_told(ask_admin: Ask) -> None:
    """By its digest."""
    with pytest.raises(errors.RevisionNotFoundError) as caught:
        await ask_admin("load_adapter", "new", revision="0" * 64)

    assert caught.value.metadata == {"digest": "0" * 64}


async def test_an_adapter_tells_its_tier_its_notes_and_its_past(ask_admin: Ask, server: FakeServer) -> None:
    """As plain values; a tier newer than the client is UNSPECIFIED."""
    server.admin.adapters["x"] = pb.Adapter(
        id="x", tier=pb.TIER_HOST, pinned=True, metadata={"a": "1"}, earlier_revisions=["bb", "aa"]
    )
    server.admin.adapters["y"] = pb.Adapter(id="y", tier=77)  # type: ignore[arg-type]

    adapter, newer = await ask_admin("adapter", "x"), await ask_admin("adapter", "y")

    assert (adapter.tier, adapter.pinned, adapter.metadata) == (Tier.HOST, True, {"a": "1"})
    assert ("bb", "aa") == adapter.earlier_revisions
    assert newer.tier is Tier.UNSPECIFIED


@pytest.mark.parametrize(
    ("given", "paths", "expected"),
    [
        ({"weight": 2.5}, ["weight"], pb.Adapter(id="pos", weight=2.5)),
        ({"pinned": False}, ["pinned"], pb.Adapter(id="pos")),
        ({"max_wait_seconds": 0.5}, ["max_wait"], pb.Adapter(id="pos", max_wait=Duration(nanos=500_000_000))),
        ({"max_wait_seconds": None, "weight": None}, ["weight", "max_wait"], pb.Adapter(id="pos")),
        (
            {"metadata": {"a": "1"}, "pinned": True},
            ["pinned", "metadata"],
            pb.Adapter(id="pos", pinned=True, metadata={"a": "1"}),
        ),
        ({"metadata": {}, "weight": UNSET}, ["metadata"], pb.Adapter(id="pos")),
    ],
)
async def test_an_update_masks_what_was_given(
    ask_admin: Ask, server: FakeServer, given: dict[str, Any], paths: list[str], expected: pb.Adapter
) -> None:
    """None is given too, and means the default; what isn't given stays out of the mask."""
    await ask_admin("update_adapter", "pos", **given)

    (request,) = server.script.requests
    assert (expected, paths) == (request.adapter, list(request.update_mask.paths))  # type: ignore[attr-defined]


async def test_an_update_gives_the_adapter_as_it_is_now(ask_admin: Ask) -> None:
    """What wasn't given is as before."""
    adapter = await ask_admin("update_adapter", "pos", pinned=True)

    assert (True, 2.0, AdapterState.READY) == (adapter.pinned, adapter.weight, adapter.state)


async def test_an_update_of_nothing_is_not_sent(ask_admin: Ask, server: FakeServer) -> None:
    """On the wire an empty mask would mean something else."""
    with pytest.raises(ValueError, match="at least one option"):
        await ask_admin("update_adapter", "pos")

    assert server.script.requests == []


async def test_delete_waits_longer_than_its_drain(ask_admin: Ask, server: FakeServer) -> None:
    """As an unload does."""
    adapter = await ask_admin("delete_adapter", "pos", drain_timeout_seconds=300, force=True)

    assert adapter.state is AdapterState.UNLOADED
    assert server.script.requests == [
        pb.DeleteAdapterRequest(adapter_id="pos", drain_timeout=Duration(seconds=300), force=True)
    ]
    assert 300 < (server.script.time_remaining[0] or 0) <= 312


async def test_an_adapter_with_an_alias_is_not_deleted(ask_admin: Ask) -> None:
    """The error names the aliases."""
    await ask_admin("set_alias", "prod", "pos")

    with pytest.raises(errors.AliasedError) as caught:
        await ask_admin("delete_adapter", "pos")

    assert caught.value.metadata["aliases"] == "prod"


async def test_the_filter_is_on_every_page(ask_admin: Ask, server: FakeServer) -> None:
    """As the server asks for."""
    server.admin.adapters["third"] = pb.Adapter(id="third")

    assert len(await ask_admin("adapters", filter="NOT pinned")) == 3

    assert ["NOT pinned"] * 2 == [each.filter for each in server.script.requests]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("pos", (AliasTarget("pos", 1),)),
        ({"pos": 90, "sentiment@3fa9c1d2": 10}, (AliasTarget("pos", 90), AliasTarget(f"sentiment@{REVISION}", 10))),
    ],
)
async def test_an_alias_has_one_target_or_several(
    ask_admin: Ask, server: FakeServer, targets: Any, expected: tuple[AliasTarget, ...]
) -> None:
    """In the caller's order."""
    alias = await ask_admin("set_alias", "prod", targets)

    assert ("prod", expected) == (alias.name, alias.targets)
    assert abs((datetime.now(UTC) - alias.update_time).total_seconds()) < 60


@pytest.mark.parametrize("weight", [0, -1])
async def test_a_target_without_a_share_is_not_sent(ask_admin: Ask, server: FakeServer, weight: int) -> None:
    """On the wire 0 would be a share of 1."""
    with pytest.raises(ValueError, match="at least 1"):
        await ask_admin("set_alias", "prod", {"pos": 1, "sentiment": weight})

    assert server.script.requests == []


async def test_aliases_walks_over_all_pages(ask_admin: Ask, server: FakeServer) -> None:
    """Every alias comes once, by name."""
    for number in range(5):
        alias = pb.Alias(name=f"a{number}", targets=[pb.AliasTarget(adapter="pos", weight=1)])
        alias.update_time.CopyFrom(Timestamp(seconds=number))
        server.admin.aliases[alias.name] = alias

    aliases = await ask_admin("aliases", page_size=2)

    times = [datetime.fromtimestamp(number, UTC) for number in range(5)]
    assert [AliasInfo(f"a{n}", (AliasTarget("pos", 1),), times[n]) for n in range(5)] == aliases
    assert len(server.script.requests) == 3


async def test_deleting_an_alias_gives_it_as_it_was(ask_admin: Ask) -> None:
    """Once."""
    await ask_admin("set_alias", "prod", {"pos": 3})

    assert (await ask_admin("delete_alias", "prod")).targets == (AliasTarget("pos", 3),)
    with pytest.raises(errors.AliasNotFoundError):
        await ask_admin("delete_alias", "prod")


async def test_status_tells_tiers_and_bounds(ask_admin: Ask) -> None:
    """Each figure at its name."""
    status = await ask_admin("status")

    assert (TierCounts(900, 7, 3, 5, 2), {"DEVICE": 1, "DISK": 1}) == (status.tier_counts, status.adapters_by_tier)
    memory = status.memory
    assert (90_852_864, 702_352, 600_000_000) == (memory.base_bytes, memory.adapter_bytes, memory.resident_bytes)
    assert (1_404_704, 5_000_000) == (memory.host_adapter_bytes, memory.store_bytes)
    assert (1_048_576, 0) == (memory.adapter_bytes_limit, memory.host_adapter_bytes_limit)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("classify", ("prod", "x")),
        ("tag", ("prod", "x")),
        ("answer", ("prod", ("x", "y"))),
        ("embed", ("x",)),
        ("analyze", (["prod"], "x")),
        ("stream_analyze", ([AnalyzeRequest(["prod"], "x")],)),
    ],
)
async def test_a_request_key_is_sent_as_metadata(
    ask: Ask, server: FakeServer, method: str, arguments: tuple[Any, ...]
) -> None:
    """And nothing is, where there is none."""
    await ask(method, *arguments, request_key="user-7")
    await ask(method, *arguments)

    assert ["user-7", None] == [metadata.get("x-request-key") for metadata in server.script.metadata]


@pytest.mark.parametrize("key", ["two words", "ключ", "a\nb", "x" * 257])
@pytest.mark.parametrize("method", ["classify", "stream_analyze"])
async def test_a_request_key_that_no_header_can_carry_is_not_dropped(
    ask: Ask, server: FakeServer, method: str, key: str
) -> None:
    """Without its key the request would go to any target."""
    arguments = ("prod", "x") if method == "classify" else ([AnalyzeRequest(["prod"], "x")],)

    with pytest.raises(ValueError, match="request_key"):
        await ask(method, *arguments, request_key=key)

    assert server.script.requests == []
