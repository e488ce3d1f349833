"""Rows by adapter: a bounded number of series, none of which ever goes backwards."""

import random

import pytest
from prometheus_client import CollectorRegistry

from adaptermux_server.metrics.per_adapter import OTHER, AdapterCollector
from tests.metrics.builders import by_label, forward

ROWS = "adaptermux_adapter_rows_total"
QUEUE_SECONDS = "adaptermux_adapter_queue_seconds_total"
COMPUTE_SECONDS = "adaptermux_adapter_compute_seconds_total"
PERIOD_SECONDS = 300.0


class Counted:
    """A collector of at most `max_adapters`, and its registry."""

    def __init__(self, max_adapters: int) -> None:
        self.collector = AdapterCollector(max_adapters, PERIOD_SECONDS)
        self.registry = CollectorRegistry()
        self.registry.register(self.collector)
        self.now = 100.0

    def compute(self, adapters: str) -> None:
        """One forward; each letter is the adapter of a row."""
        self.collector.observe(forward(adapters, started_at=self.now))

    def pass_period(self) -> None:
        self.now += PERIOD_SECONDS

    @property
    def rows(self) -> dict[str, float]:
        return by_label(self.registry, ROWS, "adapter")


def test_rows_and_their_times_are_counted_for_their_adapter() -> None:
    counted = Counted(3)

    counted.collector.observe(forward(["a", "b", "a", ""], num_tokens=[1, 2, 3, 4], queue_seconds=0.5, seconds=2.0))

    assert {"a": 2, "b": 1, "base": 1} == counted.rows
    assert {"a": 1.0, "b": 0.5, "base": 0.5} == by_label(counted.registry, QUEUE_SECONDS, "adapter")
    compute_seconds = by_label(counted.registry, COMPUTE_SECONDS, "adapter")
    assert pytest.approx({"a": 0.8, "b": 0.4, "base": 0.8}) == compute_seconds


def test_more_adapters_than_names_share_the_rest() -> None:
    counted = Counted(2)

    counted.compute("abcdc")

    assert {"a": 1, "b": 1, OTHER: 3} == counted.rows


def test_the_busiest_get_the_names_of_the_idlest_at_the_end_of_a_period() -> None:
    counted = Counted(2)
    counted.compute("aab" + "cccc")
    counted.pass_period()

    counted.compute("abc")

    # What `c` had before stays where it was counted; what `b` has counts for the rest.
    assert {"a": 3, "c": 1, OTHER: 4 + 1} == counted.rows


def test_a_close_race_changes_nothing() -> None:
    """It would make series for ever."""
    counted = Counted(1)
    for _ in range(5):
        counted.compute("aabbb")
        counted.pass_period()

    assert {"a": 10, OTHER: 15} == counted.rows


def test_nothing_changes_within_a_period() -> None:
    counted = Counted(1)

    for _ in range(50):
        counted.compute("abbbb")

    assert {"a": 50, OTHER: 200} == counted.rows


def test_an_adapter_that_gets_its_name_back_goes_on_from_where_it_was() -> None:
    counted = Counted(1)
    counted.compute("aaa")
    counted.pass_period()
    counted.compute("bb")
    counted.pass_period()
    counted.compute("b")
    assert {"b": 1, OTHER: 2} == counted.rows

    counted.compute("a" * 9)
    counted.pass_period()
    counted.compute("a")

    assert {"a": 4, OTHER: 11} == counted.rows


def test_without_names_all_are_among_the_rest() -> None:
    counted = Counted(0)

    for _ in range(3):
        counted.compute("ab")
        counted.pass_period()

    assert {OTHER: 6} == counted.rows


@pytest.mark.parametrize("seed", range(5))
def test_under_churn_counters_rise_series_are_bounded_and_every_row_is_counted_once(seed: int) -> None:
    draw, counted = random.Random(seed), Counted(3)
    known: dict[str, float] = {}
    """The last value of every series that there ever was."""
    num_rows = 0
    for _ in range(600):
        busy = [f"tenant-{int(draw.paretovariate(0.5)) % 12}" for _ in range(draw.randrange(1, 20))]
        counted.collector.observe(forward(busy, started_at=counted.now))
        counted.now += draw.choice([0.0, 20.0, PERIOD_SECONDS])
        num_rows += len(busy)

        rows = counted.rows
        assert len(rows) <= 3 + 1
        assert all(count >= known.get(adapter, 0) for adapter, count in rows.items())
        known |= rows

    assert num_rows == sum(known.values())
    assert len(known) > 3 + 1, "no name was ever taken"


def test_of_names_that_were_taken_only_so_many_are_remembered() -> None:
    counted = Counted(1)

    for step in range(100):
        counted.collector.observe(forward([f"tenant-{step}"] * 4, started_at=counted.now))
        counted.pass_period()
        counted.collector.observe(forward(["nobody-else"], started_at=counted.now))

    assert len(counted.collector._taken) <= 10
