"""Timing alternatives against a base so that whatever else the machine does meets both.

Time is counted in CPU seconds of the calling thread, which has to do all the work by itself: so what other processes
take doesn't count, although their use of the caches does.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Work = Callable[[], object]
Clock = Callable[[], float]


def paired_ratios(
    base: Work, works: Mapping[str, Work], num_rounds: int, clock: Clock = time.thread_time
) -> dict[str, list[float]]:
    """Time each work right beside the base, in turns; every other round the base comes second. All run once before.

    Returns: seconds of the work over those of the base beside it, by name and round.
    """
    for work in (base, *works.values()):
        work()
    ratios: dict[str, list[float]] = {name: [] for name in works}
    for number in range(num_rounds):
        for name, work in works.items():
            ratios[name].append(_ratio(base, work, clock, base_first=number % 2 == 0))
    return ratios


def medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: float(np.median(values)) for name, values in samples.items()}


def spread(values: Sequence[float]) -> float:
    """The width of the range that holds the middle half of the values."""
    lower, upper = np.percentile(values, (25, 75))
    return float(upper - lower)


def seconds_of(work: Work, clock: Clock = time.thread_time) -> float:
    """What one run takes."""
    started = clock()
    work()
    return clock() - started


def _ratio(base: Work, work: Work, clock: Clock, *, base_first: bool) -> float:
    if base_first:
        base_seconds = seconds_of(base, clock)
        return seconds_of(work, clock) / base_seconds
    work_seconds = seconds_of(work, clock)
    return work_seconds / seconds_of(base, clock)
