"""What no scheduler can undercut, to measure ours against."""

from collections.abc import Mapping, Sequence


def minimum_visits(arrivals_by_adapter: Mapping[int, Sequence[float]], longest_wait: float) -> int:
    """Count the fewest visits after which no row waits longer than `longest_wait` seconds, each adapter taken alone.

    A visit is a moment at which all rows of one adapter that have arrived are served. A row that arrives at t must be
    served within [t, t + longest_wait], so this is interval stabbing: visit at the last moment that the oldest unserved
    row allows, and repeat; no other plan needs fewer visits. It is a minimum that can't be had, since it forgets that
    adapters share an engine, which must not idle and whose work takes time.

    Args:
        arrivals_by_adapter: when rows arrived, for each adapter, in any order.
        longest_wait: in seconds, at least 0.
    """
    return sum(_visits(sorted(arrivals), longest_wait) for arrivals in arrivals_by_adapter.values())


def _visits(arrivals: Sequence[float], longest_wait: float) -> int:
    num_visits, served_until = 0, float("-inf")
    for arrival in arrivals:
        if arrival > served_until:
            num_visits, served_until = num_visits + 1, arrival + longest_wait
    return num_visits
