"""A bound on the texts that wait to be tokenised, so that a flood of long ones is refused rather than piled up."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from adaptermux_server.errors import QueueFullError

DEFAULT_MAX_CHARACTERS = 8_000_000

_T = TypeVar("_T")
_GUESSED_SECONDS = 1e-6
_GAIN = 0.2
"""Weight of the newest call: the last 5 or so count."""
_LEAST_RETRY_SECONDS = 0.1


class TextRoom:
    """Counts the characters of calls whose texts wait for the pool, or are in it. Owned by the event loop."""

    def __init__(self, max_characters: int = DEFAULT_MAX_CHARACTERS) -> None:
        """`max_characters`: of all calls together; one alone may have more, or it could never be served."""
        self.num_characters = 0
        self._max_characters = max_characters
        self._character_seconds = _GUESSED_SECONDS

    @contextmanager
    def holding(self, num_characters: int) -> Iterator[None]:
        """Keep room for a call until its texts are tokenised, or it ends otherwise. Raises QueueFullError."""
        num_wanted = self.num_characters + num_characters
        if self.num_characters and num_wanted > self._max_characters:
            seconds = (num_wanted - self._max_characters) * self._character_seconds
            retry_seconds = max(_LEAST_RETRY_SECONDS, seconds)
            raise QueueFullError("server", self._max_characters, retry_seconds, unit="characters")
        self.num_characters = num_wanted
        try:
            yield
        finally:
            self.num_characters -= num_characters

    def timed(self, work: Callable[[], _T], num_characters: int) -> Callable[[], tuple[_T, float]]:
        """The same work, with what it took for each character."""

        def timed_work() -> tuple[_T, float]:
            started = time.perf_counter()
            result = work()
            return result, (time.perf_counter() - started) / num_characters

        return timed_work

    def learn(self, character_seconds: float) -> None:
        """Take in what a character of a call took."""
        self._character_seconds += _GAIN * (character_seconds - self._character_seconds)
