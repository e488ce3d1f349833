"""Loads, uploads and restored adapters."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from adaptermux_server.errors import SourceInvalidError
from adaptermux_server.metrics import ChangeMetrics, LoadOutcome, RestoreOutcome, UploadOutcome
from tests.metrics.builders import by_label, value


class Counted:
    """What is counted, by a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.metrics = ChangeMetrics(lambda: self.now)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        self.current: object = None

    def load(self, revision: object) -> None:
        with self.metrics.load(lambda: self.current):
            self.now += 2.0
            self.current = revision


def test_loads_are_counted_and_timed_by_how_they_ended() -> None:
    counted = Counted()

    for revision in ("first", "first", "second"):
        counted.load(revision)

    expected = {"loaded": 1, "unchanged": 1, "replaced": 1}
    assert expected == by_label(counted.registry, "adaptermux_loads_total", "outcome")
    assert 2.0 == value(counted.registry, "adaptermux_load_seconds_sum", outcome="replaced")
    assert {} == by_label(counted.registry, "adaptermux_load_failures_total", "reason")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SourceInvalidError("not an adapter"), "SOURCE_INVALID"),
        (RuntimeError("/a/path of ours"), "INTERNAL"),
        (asyncio.CancelledError(), "SHUTTING_DOWN"),
    ],
)
def test_a_failed_load_is_counted_with_its_reason_and_fails_on(error: BaseException, reason: str) -> None:
    counted = Counted()

    with pytest.raises(type(error)), counted.metrics.load(lambda: None):
        raise error

    assert {"failed": 1} == by_label(counted.registry, "adaptermux_loads_total", "outcome")
    assert {reason: 1} == by_label(counted.registry, "adaptermux_load_failures_total", "reason")


def test_uploads_and_restored_adapters_are_counted() -> None:
    counted = Counted()

    counted.metrics.upload_ended(UploadOutcome.STORED, 300)
    counted.metrics.upload_ended(UploadOutcome.KNOWN)
    counted.metrics.restored(RestoreOutcome.CHECKED)

    assert {"stored": 1, "known": 1} == by_label(counted.registry, "adaptermux_uploads_total", "outcome")
    assert 300 == value(counted.registry, "adaptermux_uploaded_bytes_total")
    assert {"checked": 1} == by_label(counted.registry, "adaptermux_restored_adapters", "outcome")


def test_all_outcomes_are_there_from_the_start() -> None:
    registry = Counted().registry

    assert [0.0] * 4 == [value(registry, "adaptermux_loads_total", outcome=each.value) for each in LoadOutcome]
    assert [0.0] * 3 == [value(registry, "adaptermux_uploads_total", outcome=each.value) for each in UploadOutcome]
    assert [0.0] * 3 == [value(registry, "adaptermux_restored_adapters", outcome=each.value) for each in RestoreOutcome]
