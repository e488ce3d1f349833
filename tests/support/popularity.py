"""How rows of a batch are spread over adapters: the shapes of traffic (as in Punica, arXiv 2310.18547, section 7)."""

from collections.abc import Callable, Mapping

import numpy as np

Spread = Callable[[np.random.Generator, int, int], list[int]]
"""(generator, number of rows, number of adapters) → whose each row is."""


def _identical(generator: np.random.Generator, num_rows: int, num_adapters: int) -> list[int]:
    return [int(generator.integers(num_adapters))] * num_rows


def _distinct(generator: np.random.Generator, num_rows: int, num_adapters: int) -> list[int]:
    """As many as there are, then again from the first."""
    order = generator.permutation(num_adapters)
    return [int(order[row % num_adapters]) for row in range(num_rows)]


def _uniform(generator: np.random.Generator, num_rows: int, num_adapters: int) -> list[int]:
    return [int(adapter) for adapter in generator.integers(num_adapters, size=num_rows)]


def _zipf(generator: np.random.Generator, num_rows: int, num_adapters: int) -> list[int]:
    shares = np.arange(1, num_adapters + 1) ** -1.1
    return [int(adapter) for adapter in generator.choice(num_adapters, num_rows, p=shares / shares.sum())]


def _skewed(generator: np.random.Generator, num_rows: int, num_adapters: int) -> list[int]:
    """All of one adapter, but for one row."""
    whose = _identical(generator, num_rows, num_adapters)
    whose[int(generator.integers(num_rows))] = int(generator.integers(num_adapters))
    return whose


POPULARITY: Mapping[str, Spread] = {
    "identical": _identical,
    "distinct": _distinct,
    "uniform": _uniform,
    "zipf": _zipf,
    "skewed": _skewed,
}
