"""The registry: leases by reference, and pictures that don't change afterwards."""

import asyncio

import pytest

from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import RevisionKey, ServedAdapter, ServingOptions
from adaptermux_server.errors import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    ConcurrentChangeError,
    InvalidRequestError,
)
from adaptermux_server.types import AdapterSpec, AdapterState, ExecutorKind, Task

SPEC = AdapterSpec(Task.FEATURE_EXTRACTION, None, (), "LORA", 8, ("query",), 128, ExecutorKind.BANK)
DIGEST = "0123456789abcdef" * 4


def registry_with(*ids: str, now: float = 100.0) -> AdapterRegistry:
    """A registry in which these ids serve, each in a slot of its own."""
    registry = AdapterRegistry(0.5, clock=lambda: now)
    for adapter_id in ids:
        entry = registry.begin_load(adapter_id, "/a", ServingOptions())
        registry.publish(entry, served(registry, adapter_id), [])
        registry.end_change(entry)
    return registry


def served(registry: AdapterRegistry, adapter_id: str) -> ServedAdapter:
    return ServedAdapter(adapter_id, RevisionKey(DIGEST), SPEC, "/a", clock=registry.clock)


@pytest.mark.parametrize("reference", ["x", "x@01234567", f"x@{DIGEST}"])
def test_a_lease_gives_what_serves_the_reference(reference: str) -> None:
    registry = registry_with("w", "x")

    with registry.lease(reference) as found:
        assert (found.id, found.revision, found.spec) == ("x", DIGEST, SPEC)


def test_row_1_an_unknown_id_is_not_found_and_near_names_are_told() -> None:
    registry = registry_with("sentiment", "topic")

    with pytest.raises(AdapterNotFoundError, match="did you mean sentiment") as caught:
        registry.lease("sentimant")

    assert caught.value.metadata == {"adapter": "sentimant", "similar": "sentiment"}


def test_row_1_near_names_are_found_among_very_many() -> None:
    registry = registry_with(*(f"tenant-{index}" for index in range(1000)), "sentiment")

    with pytest.raises(AdapterNotFoundError, match="did you mean sentiment"):
        registry.lease("sentimant")


def test_another_revision_than_the_serving_one_is_not_found_and_the_serving_one_is_told() -> None:
    with pytest.raises(AdapterNotFoundError, match="x@0123456789ab"):
        registry_with("x").lease("x@ffffffff")


def test_row_2_an_id_that_does_not_serve_says_its_state() -> None:
    registry = registry_with("x")
    registry.begin_unload("x")
    registry.begin_load("y", "/a", ServingOptions())

    for adapter_id, state in [("x", AdapterState.DRAINING), ("y", AdapterState.LOADING)]:
        with pytest.raises(AdapterNotReadyError) as caught:
            registry.lease(adapter_id)
        assert state is caught.value.state


def test_row_3_a_malformed_reference_names_the_field_it_came_from() -> None:
    with pytest.raises(InvalidRequestError, match=r"^items\[3\]\.adapter: "):
        registry_with("x").lease("X", field="items[3].adapter")


def test_leases_are_counted_and_end_with_an_error_too() -> None:
    registry = registry_with("x")
    counts = []

    def fail() -> None:
        with registry.lease("x"), registry.lease("x"):
            counts.append(registry.get("x").num_in_flight)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [*counts, registry.get("x").num_in_flight] == [2, 0]


async def test_a_revision_is_idle_once_its_last_lease_has_ended() -> None:
    registry = registry_with("x")
    with registry.lease("x") as found:
        with registry.lease("x"):
            pass
        waiting = asyncio.create_task(found.wait_idle())
        await asyncio.sleep(0)
        assert not waiting.done()

    await waiting
    await found.wait_idle()


def test_a_record_is_a_picture_of_its_moment() -> None:
    registry = registry_with("x")
    before = registry.get("x")
    with registry.lease("x") as found:
        found.num_rows_answered += 3

    after = registry.get("x")

    assert (before.last_used_time, before.num_rows_answered, before.load_time) == (None, 0, 100.0)
    assert (after.last_used_time, after.num_rows_answered, after.spec, after.revision) == (100.0, 3, SPEC, DIGEST)


def test_adapters_are_listed_by_id() -> None:
    assert [record.id for record in registry_with("c", "a", "b.a").list()] == ["a", "b.a", "c"]


def test_one_change_at_a_time_claims_an_id() -> None:
    registry = registry_with("x")
    registry.begin_load("x", "/b", ServingOptions())

    with pytest.raises(ConcurrentChangeError):
        registry.begin_load("x", "/c", ServingOptions())
    with pytest.raises(ConcurrentChangeError):
        registry.begin_unload("x")

    assert (registry.get("x").state, registry.get("x").uri) == (AdapterState.READY, "/a")


@pytest.mark.parametrize("adapter_id", ["", "X", "x@01234567"])
def test_row_3_describing_a_malformed_id_is_an_invalid_request(adapter_id: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^adapter_id: "):
        registry_with("x").get(adapter_id)
