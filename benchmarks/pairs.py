"""Timing alternatives against a base so that whatever else the machine does meets both."""

import time
from collections.abc import Callable, Mapping

import numpy as np

Work = Callable[[], object]

_NUM_WARM_UPS = 2


def paired_ratios(
    base: Work, works: Mapping[str, Work], num_rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time each work right beside the base, in turns; every other round the base comes second.

    Returns: seconds of the work over those of the base beside it, by name and round.
    """
    for work in (base, *works.values()):
        for _ in range(_NUM_WARM_UPS):
            work()
    ratios: dict[str, list[float]] = {name: [] for name in works}
    for number in range(num_rounds):
        for name, work in works.items():
            ratios[name].append(_ratio(base, work, clock, base_first=number % 2 == 0))
    return ratios


def medians(ratios: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: float(np.median(values)) for name, values in ratios.items()}


def spread(values: list[float]) -> float:
    """How far half of the values lie apart."""
    return float(np.subtract(*np.percentile(values, (75, 25))))


def seconds_of(work: Work, clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one run takes."""
    started = clock()
    work()
    return clock() - started


def _ratio(base: Work, work: Work, clock: Callable[[], float], *, base_first: bool) -> float:
    if base_first:
        base_seconds = seconds_of(base, clock)
        return seconds_of(work, clock) / base_seconds
    work_seconds = seconds_of(work, clock)
    return work_seconds / seconds_of(base, clock)
