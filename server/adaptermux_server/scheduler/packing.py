"""How many rows go into one batch, and which of them share a forward: all budget arithmetic, in pure functions."""

import math
from collections.abc import Iterable, Sequence
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
    """Of a batch, without padding; of one forward, with it: longest row × rows."""


def is_late_alone(row: Packable, costs: BatchCosts, start: float) -> bool:
    """Whether a row's deadline can't be met even by a batch of its own that begins at `start`."""
    return start + costs.batch(row.num_tokens) > row.deadline.at


def pack(rows: Iterable[Packable], limits: BatchLimits, costs: BatchCosts, start: float) -> int:
    """Count the rows, from the first one on, that make the next batch.

    The batch ends before the row that would break a limit, or that would make any row in it late.

    Args:
        rows: of one lane, in the order in which they must be served.
        limits: for two rows or more; a lone row always fits, or the longest would wait for ever.
        costs: what forwards are expected to take.
        start: when the batch is expected to begin, on the clock of the rows' deadlines.

    Returns: how many; 0 where there is no row, or where the first one would be late even alone.
    """
    num_rows, num_tokens, earliest = 0, 0, math.inf
    for row in rows:
        more, sooner = num_tokens + row.num_tokens, min(earliest, row.deadline.at)
        over_limits = num_rows > 0 and (num_rows + 1 > limits.max_rows or more > limits.max_tokens)
        if over_limits or start + costs.batch(more) > sooner:
            break
        num_rows, num_tokens, earliest = num_rows + 1, more, sooner
    return num_rows


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
