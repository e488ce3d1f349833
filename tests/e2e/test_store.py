"""A server process with a store: what operators do over gRPC, through a stop, a restart and a second server."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2, field_mask_pb2

from adaptermux.v1 import adapter_admin_pb2 as admin_pb2
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_server.testing import LocalServer, local_server
from tests.e2e.watching import Watch
from tests.faults.durable_world import DurableWorld, Operator, operating


@dataclass(frozen=True)
class Life:
    """One run of the server."""

    server: LocalServer
    operator: Operator


@dataclass(frozen=True)
class Place:
    """Where servers run one after the other."""

    world: DurableWorld
    store: Path

    @property
    def arguments(self) -> list[str]:
        roots = ["--adapter-root", str(self.world.root / "adapters")]
        return ["--model", str(self.world.base), "--num-threads", "1", "--store", str(self.store), *roots]

    @contextmanager
    def life(self) -> Iterator[Life]:
        with (
            local_server(self.arguments) as server,
            operating(self.world, server.data_address, server.admin_address) as operator,
        ):
            yield Life(server, operator)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("store")
    return Place(DurableWorld(root), root / "store")


@pytest.fixture(scope="module")
def life(place: Place) -> Iterator[Life]:
    """A server for the tests that need no restart."""
    with place.life() as life:
        yield life


@pytest.fixture
def operator(life: Life) -> Iterator[Operator]:
    """Of a server that has nothing loaded."""
    yield life.operator
    for alias in life.operator.aliases():
        life.operator.delete_alias(alias.name)
    for adapter in life.operator.adapters():
        life.operator.delete(adapter.id)


def refusal(caught: "pytest.ExceptionInfo[grpc.RpcError]") -> AdapterMuxClientError:
    return from_rpc_error(caught.value)


def test_what_is_uploaded_and_loaded_answers_the_same_after_a_stop_and_a_start(
    tmp_path_factory: pytest.TempPathFactory, place: Place
) -> None:
    place = Place(place.world, tmp_path_factory.mktemp("lives") / "store")
    world = place.world
    with place.life() as life:
        uploaded = life.operator.upload("one")
        assert (world.digests["one"], False) == (uploaded.revision, uploaded.already_stored)
        assert life.operator.upload("one").already_stored
        loaded = life.operator.load("x", "one", by_revision=True, weight=2.0, pinned=True)
        assert (uploaded.revision, "") == (loaded.revision, loaded.uri)
        life.operator.load("y", "two")
        life.operator.load("y", "three", metadata={"team": "search"})
        life.operator.alias("prod", x=1, y=1)
        before = life.operator.picture()
        watch = Watch(life.operator)
        watch.take(5)
        second = _adaptermux("serve", *place.arguments, "--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")

        assert 1 == second.returncode
        assert str(place.store) in second.stderr
        assert f"process {life.server.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert before == life.operator.picture()
        assert 0 == life.server.stop()
        assert grpc.StatusCode.UNAVAILABLE is watch.status()

    with place.life() as life:
        assert before == life.operator.picture()
        tiers = {adapter.id: adapter.tier for adapter in life.operator.adapters()}
        assert admin_pb2.TIER_DEVICE == tiers["x"]
        again = Watch(life.operator, watch.token)
        assert [("snapshot_begin",), ("x", "READY", world.digests["one"][:8])] == again.take(2)
        again.cancel()


def _adaptermux(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("adaptermux")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_watch_that_comes_back_misses_nothing(operator: Operator, place: Place) -> None:
    digests = place.world.digests
    first = Watch(operator)
    assert [("snapshot_begin",), ("snapshot_end",)] == first.take(2)
    operator.load("x", "one")
    one = digests["one"][:8]
    assert [("x", "LOADING", ""), ("x", "READY", one)] == first.take(2)
    first.cancel()
    operator.load("x", "two")
    operator.alias("prod", x=1)
    operator.delete_alias("prod")
    operator.unload("x")

    again = Watch(operator, first.token)
    seen = _until_removed(again, "x")

    two = digests["two"][:8]
    assert [
        *(("x", "READY", two), ("prod", "x"), ("prod", "removed")),
        *(("x", "DRAINING", two), ("x", "removed")),
    ] == seen
    with pytest.raises(grpc.RpcError) as caught:
        Watch(operator, "no-token-of-ours").take(1)
    assert ("INVALID_REQUEST", "resume_token") == (refusal(caught).reason, refusal(caught).violations[0][0])


def _until_removed(watch: Watch, adapter_id: str) -> list[tuple[str, ...]]:
    """Events up to the removal, without those that only tell of a move."""
    seen: list[tuple[str, ...]] = []
    while (adapter_id, "removed") not in seen:
        event = watch.take(1)[0]
        if event not in seen[-1:]:
            seen.append(event)
    return seen


@pytest.mark.parametrize(
    ("fields", "mask", "expected"),
    [
        ({"weight": 5.0}, None, (5.0, 3.0, True, {"a": "b"})),
        ({"weight": 5.0}, ["weight"], (5.0, 3.0, True, {"a": "b"})),
        ({"weight": 5.0, "metadata": {"c": "d"}}, ["metadata"], (2.0, 3.0, True, {"c": "d"})),
        ({}, ["weight"], (1.0, 3.0, True, {"a": "b"})),
        ({}, ["max_wait", "pinned"], (2.0, 1.0, False, {"a": "b"})),
        ({"weight": 5.0}, ["*"], (5.0, 1.0, False, {})),
    ],
)
def test_an_update_changes_what_its_mask_names(
    operator: Operator, fields: dict[str, Any], mask: Sequence[str] | None, expected: tuple[object, ...]
) -> None:
    three_seconds = duration_pb2.Duration(seconds=3)
    operator.load("x", "one", weight=2.0, max_wait=three_seconds, pinned=True, metadata={"a": "b"})

    _update(operator, fields, mask)

    now = operator.adapters()[0]
    assert expected == (now.weight, now.max_wait.seconds, now.pinned, dict(now.metadata))


@pytest.mark.parametrize(
    ("fields", "mask", "field"),
    [
        ({"weight": 5.0}, ["labels"], "update_mask"),
        ({"weight": 5.0}, ["weight", "*"], "update_mask"),
        ({"uri": "/etc"}, None, "update_mask"),
        ({}, None, "update_mask"),
        ({"weight": -1.0}, None, "adapter.weight"),
        ({"metadata": {"No": "way"}}, None, "adapter.metadata"),
    ],
)
def test_an_update_of_what_cannot_be_changed_is_refused_as_a_whole(
    operator: Operator, fields: dict[str, Any], mask: Sequence[str] | None, field: str
) -> None:
    operator.load("x", "one", weight=2.0)

    with pytest.raises(grpc.RpcError) as caught:
        _update(operator, fields, mask)

    assert ("INVALID_REQUEST", field) == (refusal(caught).reason, refusal(caught).violations[0][0])
    assert 2.0 == operator.adapters()[0].weight


def _update(operator: Operator, fields: dict[str, Any], mask: Sequence[str] | None) -> Any:
    paths = None if mask is None else field_mask_pb2.FieldMask(paths=mask)
    request = admin_pb2.UpdateAdapterRequest(adapter=admin_pb2.Adapter(id="x", **fields), update_mask=paths)
    return operator.admin.UpdateAdapter(request)


def test_adapters_are_listed_by_state_and_filter_in_pages(operator: Operator) -> None:
    for name, team in (("a", "search"), ("b", "ads"), ("c", "search"), ("d", "search")):
        operator.load(name, "one", metadata={"team": team}, pinned=name == "d")
    with pytest.raises(grpc.RpcError):
        operator.load("e", "nothing")

    def listed(text: str, token: str = "", size: int = 0, **fields: Any) -> tuple[list[str], str]:
        request = admin_pb2.ListAdaptersRequest(filter=text, page_token=token, page_size=size, **fields)
        page = operator.admin.ListAdapters(request)
        return [adapter.id for adapter in page.adapters], page.next_page_token

    assert ["a", "c"] == listed("state = READY AND metadata.team = search AND NOT pinned = true")[0]
    assert ["e"] == listed("", state=admin_pb2.ADAPTER_STATE_FAILED)[0]
    first, token = listed("metadata.team = search", size=2)
    assert (["a", "c"], ["d"], "") == (first, *listed("metadata.team = search", token))
    for wrong, field in ((("state = ",), "filter"), (("metadata.team = ads", token), "page_token")):
        with pytest.raises(grpc.RpcError) as caught:
            listed(*wrong)
        assert field == refusal(caught).violations[0][0]


def test_a_canary_keeps_each_key_at_its_target_and_shares_the_rest(operator: Operator, place: Place) -> None:
    one, two = (place.world.digests[name] for name in ("one", "two"))
    operator.load("x", "one")
    operator.load("x", "two")
    operator.alias("prod", **{f"x__{one[:8]}": 1, "x": 1})

    by_key = {key: operator.answered_by("prod", key) for key in map(str, range(20))}
    drawn = Counter(operator.answered_by("prod") for _ in range(40))

    assert {one, two} == set(by_key.values()) == drawn.keys()
    assert by_key == {key: operator.answered_by("prod", key) for key in by_key}
    operator.alias("prod", x=1)
    assert {two} == {operator.answered_by("prod", key) for key in by_key}
    operator.load("x", "one", by_revision=True)
    assert one == operator.answered_by("prod", "0")
    assert two == operator.answered_by(f"x@{two}")


def test_row_21_a_delete_of_an_aliased_one_is_refused_and_an_alias_is_no_id(operator: Operator, place: Place) -> None:
    operator.load("x", "one")
    operator.alias("prod", x=1)

    with pytest.raises(grpc.RpcError) as caught:
        operator.delete("x")
    assert (grpc.StatusCode.FAILED_PRECONDITION, "ALIASED") == (refusal(caught).code, refusal(caught).reason)
    assert "prod" in refusal(caught).message
    for call, field in ((lambda: operator.load("prod", "one"), "adapter_id"), (lambda: operator.alias("x", x=1), "")):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert "INVALID_REQUEST" == refusal(caught).reason
        assert refusal(caught).violations[0][0].startswith(field or "alias.")
    assert place.world.digests["one"] == operator.answered_by("prod")
    operator.delete_alias("prod")
    operator.delete("x")
    with pytest.raises(grpc.RpcError) as caught:
        operator.load("x", "one", by_revision=True)
    assert (grpc.StatusCode.NOT_FOUND, "REVISION_NOT_FOUND") == (refusal(caught).code, refusal(caught).reason)
