"""How much adapters are asked for now: requests, each of which counts half as much a minute later."""

from collections.abc import Iterable, Sequence

from adaptermux_server.adapters.served import ServedAdapter

HALF_LIFE_SECONDS = 60.0
_FORGOTTEN = 0.05
_MAX_HALF_LIVES = 100.0
"""After which the counts are brought up to date, long before they would overflow."""


class Demand:
    """Decaying counts of requests; times are seconds of a monotonic clock.

    All decay alike, so instead of letting them fade one by one, later requests are made to count more.
    """

    def __init__(self) -> None:
        self._counts: dict[ServedAdapter, float] = {}
        """In units of what a request at `_since` counts."""
        self._since = 0.0

    def note(self, wanted: Iterable[ServedAdapter], now: float) -> None:
        """Count a request."""
        if now - self._since > _MAX_HALF_LIVES * HALF_LIFE_SECONDS:
            self.forget_faded(now)
        weight = 1.0 / self._rest(now)
        for served in wanted:
            self._counts[served] = self._counts.get(served, 0.0) + weight

    def of(self, served: ServedAdapter, now: float) -> float:
        """The count at a time that isn't before the last request."""
        return self._counts.get(served, 0.0) * self._rest(now)

    def forget(self, served: ServedAdapter) -> None:
        """Drop the count of one, if there is one."""
        self._counts.pop(served, None)

    def forget_faded(self, now: float) -> None:
        """Drop those that nobody has asked for in a long time."""
        rest = self._rest(now)
        self._counts = {served: left for served, count in self._counts.items() if (left := count * rest) > _FORGOTTEN}
        self._since = now

    def known(self) -> Sequence[ServedAdapter]:
        """Those with a count, most asked for first."""
        return sorted(self._counts, key=self._counts.__getitem__, reverse=True)

    def _rest(self, now: float) -> float:
        """What is left of a request at `_since`."""
        return float(0.5 ** ((now - self._since) / HALF_LIFE_SECONDS))
