"""The scheduler's settings, checked together before they can do harm."""

from dataclasses import dataclass

from adaptermux_server.scheduler.packing import BatchLimits


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """What an operator may choose; raises ValueError where two settings contradict each other."""

    max_batch_rows: int = 32
    max_batch_tokens: int = 4096
    """Of a batch, without padding; of one forward, with it: longest row × rows."""
    max_wait_seconds: float = 1.0
    """A slot's rows make their lane overdue after this time, unless the slot has a bound of its own."""
    max_turn_seconds: float = 0.5
    """Compute that a lane of the greatest weight gets in one turn while other lanes wait."""
    max_queued_rows: int = 8192
    max_queued_rows_per_adapter: int = 4096

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        self._check_order("max_batch_rows", "max_queued_rows_per_adapter")
        self._check_order("max_queued_rows_per_adapter", "max_queued_rows")

    @property
    def batch_limits(self) -> BatchLimits:
        """The most that one batch may hold."""
        return BatchLimits(self.max_batch_rows, self.max_batch_tokens)

    def _check_order(self, lower: str, upper: str) -> None:
        if getattr(self, lower) > getattr(self, upper):
            raise ValueError(
                f"{lower} is {getattr(self, lower)} and {upper} is {getattr(self, upper)}: the first must not be above"
                " the second"
            )
