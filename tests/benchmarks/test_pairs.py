"""Paired timing, by a clock that the works themselves advance."""

from collections.abc import Callable

import pytest

from benchmarks.pairs import medians, paired_ratios, spread


class Stopwatch:
    """A clock, and works that take as long as they say."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[str] = []

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        """A work that takes `seconds`."""

        def run() -> None:
            self.now += seconds
            self.done.append(name)

        return run


def test_ratios_are_to_the_base() -> None:
    watch = Stopwatch()
    works = {"slow": watch.work("slow", 3.0), "fast": watch.work("fast", 1.0)}

    ratios = paired_ratios(watch.work("base", 2.0), works, 3, clock=lambda: watch.now)

    assert {"slow": [1.5] * 3, "fast": [0.5] * 3} == ratios


def test_each_work_runs_beside_a_base_of_its_own_which_comes_first_every_other_round() -> None:
    watch = Stopwatch()
    works = {"a": watch.work("a", 1.0), "b": watch.work("b", 1.0)}

    paired_ratios(watch.work("base", 1.0), works, 2, clock=lambda: watch.now)

    assert ["base", "a", "b"] == watch.done[:3], "all run once before"
    assert ["base", "a", "base", "b"] == watch.done[3:7]
    assert ["a", "base", "b", "base"] == watch.done[7:]


def test_drift_meets_both_sides() -> None:
    """A machine that gets slower all the time makes a work seem neither slower nor faster than itself."""
    watch = Stopwatch()

    def slowing() -> None:
        watch.now += 1.0 + 0.01 * len(watch.done)
        watch.done.append("")

    ratios = paired_ratios(slowing, {"same": slowing}, 100, clock=lambda: watch.now)

    assert pytest.approx(1.0, abs=0.005) == medians(ratios)["same"]


def test_an_outlier_moves_neither_median_nor_spread() -> None:
    samples = [1.0, 1.1, 1.2, 1.3, 50.0]

    assert {"a": 1.2} == medians({"a": samples})
    assert pytest.approx(0.2) == spread(samples)
