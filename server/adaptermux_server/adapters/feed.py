"""The feed of changes behind WatchAdapters: a snapshot first, then every change in order, resumable by tokens.

All watchers read one log; a watcher is no more than a place in it, so a slow one costs no memory. Whoever falls behind
the log gets a snapshot again, which is the newest state of each key. Owned by the event loop.
"""

import re
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.news import News

DEFAULT_LOG_SIZE = 10_000

_TOKEN = re.compile(r"([0-9a-z]{1,32})-([0-9]{1,18})", re.ASCII)
_Value = TypeVar("_Value")


class EventKind(Enum):
    """What an event tells."""

    SNAPSHOT_BEGIN = "snapshot begin"
    """What the watcher knew is void, its token too; what is there now follows."""
    SNAPSHOT_END = "snapshot end"
    """The snapshot is complete; changes follow."""
    ADAPTER = "adapter"
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class FeedEvent(Generic[_Value]):
    """One event of a watch."""

    kind: EventKind
    key: str = ""
    """The id or the name; empty for the begin and the end of a snapshot."""
    value: _Value | None = None
    """What it is now; None: it is gone."""
    token: str = ""
    """To resume after this event. Empty within a snapshot, which can't be resumed; its end has one."""


class ChangeFeed(Generic[_Value]):
    """Publishes changes to any number of watchers."""

    def __init__(
        self,
        snapshot: Callable[[], Iterable[tuple[EventKind, str, _Value]]],
        *,
        log_size: int = DEFAULT_LOG_SIZE,
        epoch: str | None = None,
    ) -> None:
        """
        Args:
            snapshot: gives all that is there now, with its kind and key.
            log_size: how many changes a watcher may lag behind and yet get each of them.
            epoch: 1 to 32 of 0-9 a-z, another for each feed, so that no token outlives its log; None: random.
        """
        self._snapshot = snapshot
        self._epoch = epoch or secrets.token_hex(8)
        self._log: deque[FeedEvent[_Value]] = deque(maxlen=log_size)
        self._last = 0
        """The number of the newest change; the first has 1."""
        self._news = News()
        self._closed = False

    def publish(self, kind: EventKind, key: str, value: _Value | None) -> None:
        """Tell that `key` is now `value` (None: gone).

        Call it in the step of the event loop that makes the change, so that every snapshot agrees with its token.
        """
        self._last += 1
        self._log.append(FeedEvent(kind, key, value, self._token()))
        self._news.tell()

    async def watch(self, token: str = "") -> AsyncGenerator[FeedEvent[_Value], None]:
        """Give a snapshot and then every change, until the feed is closed.

        With the token of an event it goes on after that event, without a snapshot, if the log still reaches so far.

        Raises InvalidRequestError for a `resume_token` that no server gave.
        """
        seen = self._number_of(token)
        while not self._closed:
            if seen is None or seen < self._forgotten:
                seen = self._last
                for event in self._snapshot_events():
                    if self._closed:
                        return
                    yield event
            elif seen < self._last:
                seen += 1
                yield self._log[seen - 1 - self._forgotten]
            else:
                await self._news.wait()

    def close(self) -> None:
        """End all watchers, now and later."""
        self._closed = True
        self._news.tell()

    @property
    def _forgotten(self) -> int:
        """The number of the newest change that has left the log."""
        return self._last - len(self._log)

    def _token(self) -> str:
        return f"{self._epoch}-{self._last}"

    def _number_of(self, token: str) -> int | None:
        """The number that a token stands for; None: no token, or one of which the log knows nothing."""
        if not token:
            return None
        match = _TOKEN.fullmatch(token)
        if match is None:
            text = "isn't a token that a server gave: begin without one, or with that of the last event seen"
            raise InvalidRequestError(("resume_token", text))
        number = int(match[2])
        return number if match[1] == self._epoch and number <= self._last else None

    def _snapshot_events(self) -> Sequence[FeedEvent[_Value]]:
        return (
            FeedEvent(EventKind.SNAPSHOT_BEGIN),
            *(FeedEvent(kind, key, value) for kind, key, value in self._snapshot()),
            FeedEvent(EventKind.SNAPSHOT_END, token=self._token()),
        )
