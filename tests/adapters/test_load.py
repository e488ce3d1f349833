"""Loads while requests are in flight: every step may fail, wait or be cancelled (contract row 21)."""

import asyncio
from typing import Any

import pytest

from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import (
    AdapterNotReadyError,
    BaseMismatchError,
    ConcurrentChangeError,
    ConfigUnsupportedError,
    InvalidRequestError,
    SourceForbiddenError,
    SourceInvalidError,
)
from adaptermux_server.types import AdapterState, ExecutorKind, ProblemType
from tests.adapters.builders import LORA_CONFIG, write_adapter
from tests.adapters.rig import BROKEN, Rig, until_settled


async def test_a_loaded_adapter_is_ready_in_a_slot_of_its_own(rig: Rig) -> None:
    record = await rig.load("x", "a", weight=2.0)
    rig.model.executor = ExecutorKind.SWITCH
    await rig.load("y", "b", max_wait_seconds=3.0)

    assert (
        record.state,
        record.load_time,
        record.last_used_time,
        record.weight,
        record.max_wait_seconds,
    ) == (AdapterState.READY, 100.0, None, 2.0, 0.25)
    assert record.spec is not None
    assert record.spec == rig.model.slots[1].spec
    assert rig.queue.slots == {1: ("x", 2.0, None, ExecutorKind.BANK), 2: ("y", 1.0, 3.0, ExecutorKind.SWITCH)}


async def test_labels_and_problem_type_of_the_load_come_before_those_of_the_files(rig: Rig) -> None:
    model_config = {"num_labels": 2, "problem_type": "regression"}
    write_adapter(rig.root / "other", model_config=model_config)

    from_files = await rig.load("x", "other")
    given = await rig.load("y", "other", labels=("no", "yes"), problem_type=ProblemType.MULTI_LABEL)

    assert from_files.spec
    assert given.spec
    assert (from_files.spec.labels, from_files.spec.problem_type) == (("LABEL_0", "LABEL_1"), ProblemType.REGRESSION)
    assert (given.spec.labels, given.spec.problem_type) == (("no", "yes"), ProblemType.MULTI_LABEL)


@pytest.mark.parametrize(
    ("task_type", "options", "field"),
    [
        ("QUESTION_ANS", {"labels": ("a",)}, "labels"),
        (None, {"labels": ("a",)}, "labels"),
        ("TOKEN_CLS", {"problem_type": ProblemType.REGRESSION}, "problem_type"),
    ],
)
async def test_options_that_the_task_does_not_have_are_refused(
    rig: Rig, task_type: str | None, options: dict[str, Any], field: str
) -> None:
    write_adapter(rig.root / "other", config={**LORA_CONFIG, "task_type": task_type})

    with pytest.raises(InvalidRequestError) as caught:
        await rig.load("x", "other", **options)

    assert [field] == [name for name, _ in caught.value.violations]


async def test_loading_the_same_content_again_only_updates_the_options(rig: Rig) -> None:
    first = await rig.load()
    rig.now = 200.0

    again = await rig.load(weight=5.0, max_wait_seconds=1.0)

    assert (first.revision, 100.0, 5.0, 1.0) == (again.revision, again.load_time, again.weight, again.max_wait_seconds)
    assert rig.queue.slots == {1: ("x", 5.0, 1.0, ExecutorKind.BANK)}
    assert len(rig.model.prepared) == 1


@pytest.mark.parametrize("options", [{"labels": ("a", "b", "c")}, {"problem_type": ProblemType.MULTI_LABEL}])
async def test_the_same_content_with_other_labels_or_problem_type_is_another_revision(
    rig: Rig, options: dict[str, Any]
) -> None:
    await rig.load()

    await rig.load(**options)

    assert rig.slot() == 2


async def test_other_content_takes_over_in_one_step_and_the_old_revision_ends_after_its_last_request(rig: Rig) -> None:
    old = await rig.load()
    removing = rig.model.gates["remove"]
    with rig.registry.lease("x") as held:
        new = await rig.load("x", "b")

        assert (held.slot, rig.slot()) == (1, 2)
        assert {1, 2} == set(rig.model.slots)
        assert old.revision != new.revision
        assert rig.registry.get("x").num_in_flight == 1
        assert not removing.entered.is_set()

    await removing.entered.wait()
    await rig.load("x", "b")
    assert {2} == set(rig.model.slots) == set(rig.queue.slots)


async def test_requests_go_to_the_old_revision_until_the_new_one_is_installed(rig: Rig) -> None:
    await rig.load()
    rig.model.gates["install"].hold()
    loading = rig.start("x", "b")
    await rig.model.gates["install"].entered.wait()

    during = (rig.registry.get("x").state, rig.slot())
    rig.model.gates["install"].open.set()
    await loading

    assert during == (AdapterState.READY, 1)
    assert rig.slot() == 2


@pytest.mark.parametrize("step", ["prepare", "install"])
@pytest.mark.parametrize("error", [BROKEN, RuntimeError("a bug")])
async def test_a_load_that_fails_leaves_the_old_revision_serving_and_says_why(
    rig: Rig, step: str, error: Exception
) -> None:
    await rig.load()
    rig.model.failures[step] = error

    with pytest.raises(type(error)):
        await rig.load("x", "b")

    assert rig.slot() == 1
    assert (AdapterState.READY, error) == (rig.registry.get("x").state, rig.registry.get("x").error)
    rig.assert_consistent()


@pytest.mark.parametrize("step", ["prepare", "install"])
async def test_an_id_whose_first_load_fails_is_failed_until_it_is_loaded_again(rig: Rig, step: str) -> None:
    rig.model.failures[step] = BROKEN

    with pytest.raises(BaseMismatchError):
        await rig.load()
    failed = rig.registry.get("x")
    with pytest.raises(AdapterNotReadyError, match="FAILED"):
        rig.registry.lease("x")
    rig.model.failures.clear()
    loaded = await rig.load()

    assert (AdapterState.FAILED, BROKEN, loaded.revision) == (failed.state, failed.error, failed.revision)
    assert (loaded.state, loaded.error) == (AdapterState.READY, None)


async def test_a_load_that_fails_at_its_files_asks_nothing_of_the_model(rig: Rig) -> None:
    write_adapter(rig.root / "other", config={**LORA_CONFIG, "bias": "all"})

    for uri, error in [
        (str(rig.root / "other"), ConfigUnsupportedError),
        (str(rig.root / "missing"), SourceInvalidError),
        ("/etc", SourceForbiddenError),
        ("http://localhost/a", SourceForbiddenError),
        ("relative", InvalidRequestError),
    ]:
        with pytest.raises(error):
            await rig.lifecycle.load(LoadOptions("x", uri))

    assert rig.model.prepared == []
    assert (rig.registry.get("x").revision, rig.registry.get("x").state) == ("", AdapterState.FAILED)


async def test_validating_tells_what_a_load_would_give_and_changes_nothing(rig: Rig) -> None:
    await rig.load()

    record = await rig.load("x", "b", validate_only=True, labels=("a", "b", "c"))
    rig.model.failures["prepare"] = BROKEN
    with pytest.raises(BaseMismatchError):
        await rig.load("new", "b", validate_only=True)

    assert AdapterState.UNLOADED is record.state
    assert record.spec
    assert record.spec.labels == ("a", "b", "c")
    assert [listed.id for listed in rig.registry.list()] == ["x"]
    assert rig.slot() == 1


async def test_a_load_that_returns_immediately_goes_on_by_itself(rig: Rig) -> None:
    rig.model.gates["install"].hold()

    record = await rig.load(return_immediately=True)
    with pytest.raises(AdapterNotReadyError, match="LOADING"):
        rig.registry.lease("x")
    await rig.model.gates["install"].entered.wait()
    rig.model.gates["install"].open.set()
    await until_settled(rig)

    assert (record.state, record.revision) == (AdapterState.LOADING, "")
    assert AdapterState.READY is rig.registry.get("x").state


async def test_a_load_that_nobody_waits_for_is_listed_as_failed_with_its_error(rig: Rig) -> None:
    rig.model.failures["prepare"] = BROKEN

    await rig.load(return_immediately=True)
    await until_settled(rig)

    assert (rig.registry.get("x").state, rig.registry.get("x").error) == (AdapterState.FAILED, BROKEN)


async def test_row_21_of_two_loads_of_one_id_at_once_one_wins(rig: Rig) -> None:
    outcomes = await asyncio.gather(rig.load("x", "a"), rig.load("x", "b"), return_exceptions=True)

    assert [AdapterRecord, ConcurrentChangeError] == [type(outcome) for outcome in outcomes]
    assert AdapterState.READY is rig.registry.get("x").state


async def test_different_ids_load_side_by_side(rig: Rig) -> None:
    rig.model.gates["prepare"].hold()
    first = rig.start("x", "a")
    await rig.model.gates["prepare"].entered.wait()
    rig.model.gates["prepare"].entered.clear()
    second = rig.start("y", "b")
    await rig.model.gates["prepare"].entered.wait()
    rig.model.gates["prepare"].open.set()

    records = await asyncio.gather(first, second)

    assert [record.id for record in records] == ["x", "y"]


async def test_row_21_an_unload_during_a_load_is_refused_and_the_load_ends_well(rig: Rig) -> None:
    rig.model.gates["prepare"].hold()
    loading = rig.start()
    await rig.model.gates["prepare"].entered.wait()

    with pytest.raises(ConcurrentChangeError):
        await rig.lifecycle.unload("x")
    rig.model.gates["prepare"].open.set()

    assert AdapterState.READY is (await loading).state


@pytest.mark.parametrize("step", ["prepare", "install"])
async def test_a_load_whose_call_is_cancelled_runs_to_its_end(rig: Rig, step: str) -> None:
    rig.model.gates[step].hold()
    loading = rig.start()
    await rig.model.gates[step].entered.wait()

    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    with pytest.raises(ConcurrentChangeError):
        await rig.load()
    rig.model.gates[step].open.set()
    await until_settled(rig)

    assert AdapterState.READY is rig.registry.get("x").state
