"""Each call of the administration client, blocking and asyncio."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from adaptermux.v1 import adapter_admin_pb2, types_pb2
from adaptermux_client import AdapterState, Executor, HealthStatus, ProblemType, QueueStatus, Task, errors
from tests.client.conftest import Ask
from tests.client.fake_answers import POS, REVISION, failure
from tests.client.fake_server import FakeServer


async def test_load_sends_its_options_and_gives_the_adapter(ask_admin: Ask, server: FakeServer) -> None:
    """Each keyword reaches its field."""
    adapter = await ask_admin(
        "load_adapter",
        "new",
        "/adapters/new",
        labels=["no", "yes"],
        problem_type=ProblemType.MULTI_LABEL,
        weight=2.5,
        max_wait_seconds=0.5,
        return_immediately=True,
    )

    assert (adapter.id, adapter.state, adapter.weight) == ("new", AdapterState.READY, 2.5)
    assert server.script.requests == [
        adapter_admin_pb2.LoadAdapterRequest(
            adapter_id="new",
            uri="/adapters/new",
            labels=["no", "yes"],
            problem_type=types_pb2.PROBLEM_TYPE_MULTI_LABEL,
            weight=2.5,
            max_wait=Duration(nanos=500_000_000),
            return_immediately=True,
        )
    ]


@pytest.mark.parametrize(
    ("source", "uri"),
    [("file:///a/b", "file:///a/b"), ("a/b", "a/b"), (Path("a/b"), str(Path.cwd() / "a" / "b"))],
)
async def test_a_text_is_sent_as_it_is_and_a_path_made_absolute(
    ask_admin: Ask, server: FakeServer, source: str | Path, uri: str
) -> None:
    """A text may be meant for another machine; a path object is of this one."""
    await ask_admin("load_adapter", "new", source)

    assert server.script.requests[0].uri == uri  # type: ignore[attr-defined]


async def test_unload_waits_longer_than_its_drain(ask_admin: Ask, server: FakeServer) -> None:
    """The answer about a drain that took too long still arrives."""
    adapter = await ask_admin("unload_adapter", "pos", drain_timeout_seconds=300, force=True)

    assert adapter.state is AdapterState.UNLOADED
    assert server.script.requests[0].force  # type: ignore[attr-defined]
    assert 300 < (server.script.time_remaining[0] or 0) <= 312  # gRPC rounds long deadlines up


async def test_an_adapter_is_described_by_plain_values(ask_admin: Ask) -> None:
    """Durations are seconds and times are aware; what is absent is None."""
    sentiment = await ask_admin("adapter", "sentiment")

    assert (sentiment.revision, sentiment.task) == (REVISION, Task.SEQUENCE_CLASSIFICATION)
    assert sentiment.problem_type is ProblemType.SINGLE_LABEL
    assert sentiment.max_wait_seconds == 0.25
    assert sentiment.load_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (sentiment.last_used_time, sentiment.error) == (None, None)


@pytest.mark.parametrize(("adapter", "executor"), [("sentiment", Executor.BANK), ("pos", Executor.SWITCH)])
async def test_an_adapter_names_what_computes_it(ask_admin: Ask, adapter: str, executor: Executor) -> None:
    """Whether its rows share batches with those of others."""
    assert (await ask_admin("adapter", adapter)).executor is executor


async def test_a_failed_adapter_carries_its_error(ask_admin: Ask, server: FakeServer) -> None:
    """The error is the one that the load raised, as an object."""
    failed = adapter_admin_pb2.Adapter(id="broken", state=adapter_admin_pb2.ADAPTER_STATE_FAILED)
    failed.error.CopyFrom(failure(grpc.StatusCode.FAILED_PRECONDITION, "w: shape", "BASE_MISMATCH", {"tensor": "w"}))
    server.admin.adapters["broken"] = failed

    adapter = await ask_admin("adapter", "broken")

    assert isinstance(adapter.error, errors.BaseMismatchError)
    assert adapter.error.metadata == {"tensor": "w"}


async def test_what_is_newer_than_the_client_is_unspecified(ask_admin: Ask, server: FakeServer) -> None:
    """An old client goes on working with a newer server."""
    server.admin.adapters["future"] = adapter_admin_pb2.Adapter(id="future", state=99, executor=99)  # type: ignore[arg-type]

    future = await ask_admin("adapter", "future")

    assert (AdapterState.UNSPECIFIED, Executor.UNSPECIFIED) == (future.state, future.executor)


async def test_adapters_walks_over_all_pages(ask_admin: Ask, server: FakeServer) -> None:
    """Every adapter comes once, by id, whatever the size of a page; the filter is on every page."""
    for number in range(5):
        server.admin.adapters[f"a{number}"] = POS

    adapters = await ask_admin("adapters", state=AdapterState.READY, page_size=3)

    assert len(adapters) == 7
    states = [request.state for request in server.script.requests]  # type: ignore[attr-defined]
    assert states == [adapter_admin_pb2.ADAPTER_STATE_READY] * 3


async def test_status_describes_the_server(ask_admin: Ask) -> None:
    """Nested messages become nested values."""
    status = await ask_admin("status")

    assert status.queues == (QueueStatus("pos", 3, 0.004),)
    assert (status.rows.answered, status.costs.traversal_seconds) == (990, 0.012)
    assert (status.adapters_by_state, status.library_versions["torch"]) == ({"READY": 2}, "2.13.0")
    assert (status.num_traversals, status.num_traversals_in_arrival_order) == (12, 480)
    assert (9.9, 3.25) == (status.mean_batch_rows, status.mean_batch_adapters)
    assert {"uniform": 25, "segments": 63, "switch": 12} == status.forwards_by_kernel


async def test_the_admin_listener_has_health_too(ask_admin: Ask) -> None:
    """Either listener may be asked."""
    assert await ask_admin("health") is HealthStatus.SERVING


@pytest.mark.parametrize(("method", "arguments"), [("adapter", ("x",)), ("unload_adapter", ("x",))])
async def test_an_unknown_adapter_is_an_error(ask_admin: Ask, method: str, arguments: tuple[Any, ...]) -> None:
    """The error says which and what was perhaps meant."""
    with pytest.raises(errors.AdapterNotFoundError) as caught:
        await ask_admin(method, *arguments)

    assert caught.value.metadata == {"adapter": "x", "similar": "sentiment"}
