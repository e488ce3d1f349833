"""How many rows go into one batch: all budget arithmetic, in one pure function."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from adaptermux_server.types import Deadline


class Packable(Protocol):
    """What packing must know of a row."""

    @property
    def num_tokens(self) -> int:
        """Its length."""

    @property
    def deadline(self) -> Deadline:
        """When its answer loses its use."""


class BatchCosts(Protocol):
    """What packing must know of costs."""

    def batch(self, padded_tokens: int) -> float:
        """Seconds that a forward over so many tokens is expected to take."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that one batch may hold."""

    max_rows: int
    max_tokens: int
    """Padded: longest row × rows."""


def pack(rows: Iterable[Packable], limits: BatchLimits, costs: BatchCosts, start: float) -> int:
    """Count the rows, from the first one on, that make the next batch.

    The batch ends before the row that would break a limit, that would make any row in it late, or whose padding (of
    the others to its length, or of itself to theirs) would cost more than a batch of its own.

    Args:
        rows: of one slot, in the order in which they must be served.
        limits: for two rows or more; a lone row always fits, or the longest would wait for ever.
        costs: what batches are expected to take.
        start: when the forward is expected to begin, on the clock of the rows' deadlines.

    Returns: how many; 0 where there is no row, or where the first one would be late even alone.
    """
    num_rows, longest, earliest = 0, 0, math.inf
    for row in rows:
        longer, sooner = max(longest, row.num_tokens), min(earliest, row.deadline.at)
        padded = longer * (num_rows + 1)
        over_limits = num_rows + 1 > limits.max_rows or (num_rows > 0 and padded > limits.max_tokens)
        wasteful = num_rows > 0 and costs.batch(padded) > costs.batch(longest * num_rows) + costs.batch(row.num_tokens)
        if over_limits or wasteful or start + costs.batch(padded) > sooner:
            break
        num_rows, longest, earliest = num_rows + 1, longer, sooner
    return num_rows


def padded_tokens(rows: Iterable[Packable]) -> int:
    """Tokens of a batch after padding: longest row × rows."""
    lengths = [row.num_tokens for row in rows]
    return max(lengths, default=0) * len(lengths)
