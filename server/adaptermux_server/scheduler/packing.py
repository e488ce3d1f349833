"""How many rows go into one batch, and which of them share a forward: all budget arithmetic, in pure functions."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
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

    @property
    def pace(self) -> float:
        """What batches take as a whole, relative to `batch` of their tokens."""

    def batch(self, padded_tokens: float) -> float:
        """Seconds that a forward over so many tokens is expected to take."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that one batch may hold."""

    max_rows: int
    max_tokens: int
    """Of a batch, without padding; of one forward, with it: longest row × rows."""


def is_late_alone(row: Packable, costs: BatchCosts, start: float) -> bool:
    """Whether a row's deadline can't be met even by a batch of its own that begins at `start`."""
    return start + costs.batch(row.num_tokens) > row.deadline.at


def pack(rows: Iterable[Packable], limits: BatchLimits, costs: BatchCosts, start: float) -> int:
    """Count the rows, from the first one on, that make the next batch.

    The batch ends before the row that would break a limit, or that would make any row in it late: answers come when all
    of its forwards are done, padding included.

    Args:
        rows: of one lane, in the order in which they must be served.
        limits: for two rows or more; a lone row always fits, or the longest would wait for ever.
        costs: what forwards are expected to take.
        start: when the batch is expected to begin, on the clock of the rows' deadlines.

    Returns: how many; 0 where there is no row, or where the first one would be late even alone.
    """
    fitting = list(_within(rows, limits))

    def is_late(num_rows: int) -> bool:
        earliest = min(row.deadline.at for row in fitting[:num_rows])
        return earliest < math.inf and start + _seconds(fitting[:num_rows], limits, costs) > earliest

    if not fitting or not is_late(len(fitting)):
        return len(fitting)
    # With each row the batch takes longer, and its earliest deadline gets no later.
    return bisect_left(range(1, len(fitting)), True, key=is_late)


def _within(rows: Iterable[Packable], limits: BatchLimits) -> Iterator[Packable]:
    """The first rows, as many as a batch may hold."""
    num_tokens = 0
    for num_rows, row in enumerate(rows, start=1):
        num_tokens += row.num_tokens
        if num_rows > 1 and (num_rows > limits.max_rows or num_tokens > limits.max_tokens):
            return
        yield row


def _seconds(rows: Sequence[Packable], limits: BatchLimits, costs: BatchCosts) -> float:
    """What a batch is expected to take."""
    lengths = [row.num_tokens for row in rows]
    forwards = split(lengths, limits, costs)
    return sum(costs.batch(lengths[forward[0]] * len(forward)) for forward in forwards)


def split(lengths: Sequence[int], limits: BatchLimits, costs: BatchCosts) -> tuple[tuple[int, ...], ...]:
    """Divide a batch into forwards at the least cost: padding against the fixed part of one more forward.

    Sorted by length, the rows of a forward are neighbours in some best division (exchanging two rows can't help), so
    dynamic programming over the places to cut finds it, in time quadratic in the rows.

    Args:
        lengths: tokens of each row.
        limits: a forward's padded tokens stay within `max_tokens`, but for a lone row.
        costs: what forwards are expected to take.

    Returns: for each forward, positions in `lengths`, longest row first.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    # best[n]: least cost of the n longest rows, and where its last forward begins.
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(order) + 1):
        best.append(
            min(
                (best[begin][0] + costs.batch(lengths[order[begin]] * (end - begin)), begin)
                for begin in range(end)
                if end - begin == 1 or lengths[order[begin]] * (end - begin) <= limits.max_tokens
            )
        )
    forwards, end = [], len(order)
    while end:
        begin = best[end][1]
        forwards.append(tuple(order[begin:end]))
        end = begin
    return tuple(reversed(forwards))
