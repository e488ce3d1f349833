"""How long and from where: `FUZZ_SECONDS` (for each fuzzer) and `FUZZ_SEED` of the environment."""

import os
import random
import time
from collections.abc import Iterator

SEED = int(os.environ.get("FUZZ_SEED", "20261125"))
_USUAL_SECONDS = 8.0
SECONDS = float(os.environ.get("FUZZ_SECONDS", _USUAL_SECONDS))


def dice(name: str) -> random.Random:
    """Chance for one test, the same at every run of a seed, which is printed."""
    tell_seed(name)
    return random.Random(f"{SEED} {name}")


def tell_seed(name: str) -> None:
    """Print the seed; pytest shows it where the test fails."""
    print(f"FUZZ_SEED={SEED} ({name})")  # noqa: T201 - meant for whoever reads the failure


def num_examples(per_second: float) -> int:
    """How many examples Hypothesis may take, where so many fit a second."""
    return max(1, round(SECONDS * per_second))


def rounds(at_least: int) -> Iterator[int]:
    """Count 0, 1, … until the time is over, but at least so far: a busy machine fuzzes less, not nothing."""
    end, number = time.monotonic() + SECONDS, 0
    while number < at_least or time.monotonic() < end:
        yield number
        number += 1
