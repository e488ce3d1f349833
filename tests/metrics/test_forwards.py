"""What is counted of forwards: by the scheduler's own hand, and from records."""

import pytest

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import ExecutorKind, Kernel
from tests.metrics.builders import by_label, forward, instruments, value
from tests.scheduler.engine import SETTINGS, Clock, FakeEngine, answer, make_row, until


def test_a_forward_is_counted_with_its_rows_adapters_tokens_and_times() -> None:
    metrics = instruments()

    metrics.observe_forward(forward(["a", "b", "a"], num_tokens=[3, 5, 10], queue_seconds=0.02, seconds=0.4))
    metrics.observe_forward(forward(["c"], Kernel.SWITCH, num_tokens=7, seconds=0.2, traversal_seconds=0.003))

    expected = {
        "adaptermux_forward_rows_count": 2,
        "adaptermux_forward_rows_sum": 4,
        "adaptermux_forward_adapters_sum": 3,
        "adaptermux_row_queue_seconds_count": 4,
        "adaptermux_row_queue_seconds_sum": pytest.approx(0.08),
        "adaptermux_tokens_total": 25,
        "adaptermux_padded_tokens_total": 37,
        "adaptermux_traversal_seconds_total": 0.003,
    }
    assert expected == {name: value(metrics.registry, name) for name in expected}
    assert 2 == value(metrics.registry, "adaptermux_forward_adapters_bucket", le="2.0")
    assert 0 == value(metrics.registry, "adaptermux_row_queue_seconds_bucket", le="0.01")
    assert 4 == value(metrics.registry, "adaptermux_row_queue_seconds_bucket", le="0.025")


@pytest.mark.parametrize(
    ("kernel", "executor"),
    [
        (Kernel.BASE, "base"),
        (Kernel.UNIFORM, "bank"),
        (Kernel.SEGMENTS, "bank"),
        (Kernel.GATHERED, "bank"),
        (Kernel.SWITCH, "switch"),
    ],
)
def test_a_forward_takes_the_time_of_what_computed_it(kernel: Kernel, executor: str) -> None:
    metrics = instruments()

    metrics.observe_forward(forward(["a"], kernel, seconds=0.4))

    assert {executor: 0.4} == by_label(metrics.registry, "adaptermux_forward_seconds_sum", "executor")


@pytest.mark.parametrize(("adapters", "label"), [(["a", "a"], "one"), (["a", "b"], "several"), (["", "a"], "several")])
def test_a_forward_that_raised_is_counted_and_its_rows_are_not(adapters: list[str], label: str) -> None:
    metrics = instruments()

    metrics.observe_forward(forward(adapters, kernel=None))

    assert {label: 1} == by_label(metrics.registry, "adaptermux_failed_forwards_total", "adapters")
    assert 0 == value(metrics.registry, "adaptermux_row_queue_seconds_count")
    assert 0 == value(metrics.registry, "adaptermux_forward_rows_count")
    assert {} == by_label(metrics.registry, "adaptermux_adapter_rows_total", "adapter")


def test_all_labels_with_known_values_are_there_from_the_start() -> None:
    """A series that appears late would hide its first increase from a rate."""
    registry = instruments().registry

    for executor in ("base", "bank", "switch"):
        assert 0 == value(registry, "adaptermux_forward_seconds_count", executor=executor)
    for adapters in ("one", "several"):
        assert 0 == value(registry, "adaptermux_failed_forwards_total", adapters=adapters)


async def test_what_the_scheduler_computes_is_counted_once() -> None:
    """Also where a forward of two adapters raises, and then succeeds one by one: waits count where they ended."""
    engine, clock = FakeEngine(), Clock()
    scheduler = Scheduler(engine.run, SETTINGS, clock)
    metrics = instruments(scheduler.status)
    scheduler.recorder.observers.append(metrics.observe_forward)
    for slot in (11, 12):
        scheduler.configure_slot(slot, label=f"bank-{slot}", executor=ExecutorKind.BANK)
    rows = [make_row(11), make_row(12)]
    for row, adapter in zip(rows, "xy", strict=True):
        row.adapter = adapter
    await scheduler.start()
    scheduler.submit(rows)

    await engine.next_plan()
    clock.now += 2.0
    engine.fail(RuntimeError("device"))
    for _ in rows:
        await engine.next_plan()
        engine.finish(0.5)
    for row in rows:
        await answer(row.future)
    await until(lambda: len(scheduler.recorder.recent) == 3)
    await scheduler.close()

    registry = metrics.registry
    assert {"several": 1} == by_label(registry, "adaptermux_failed_forwards_total", "adapters")
    assert 2 == value(registry, "adaptermux_row_queue_seconds_count")
    assert 4.0 == value(registry, "adaptermux_row_queue_seconds_sum")
    assert {"x": 1, "y": 1} == by_label(registry, "adaptermux_adapter_rows_total", "adapter")
    assert {"x": 0.5, "y": 0.5} == by_label(registry, "adaptermux_adapter_compute_seconds_total", "adapter")
    assert value(registry, "adaptermux_batched_rows_total") == value(registry, "adaptermux_forward_rows_sum")
