"""A watch across connections: from which event it goes on, and how long it waits before it does. No I/O."""

import random
import time
from collections.abc import Callable
from typing import TypeAlias

import grpc

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client import convert_admin
from adaptermux_client.admin_events import (
    AdapterChanged,
    AdapterRemoved,
    AliasChanged,
    AliasRemoved,
    SnapshotBegan,
    SnapshotEnded,
    WatchEvent,
)
from adaptermux_client.errors import AdapterMuxClientError, CallCancelledError, UnavailableError

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 5.0

OnLost: TypeAlias = Callable[[AdapterMuxClientError], object]
"""Called with the failure by which a connection was lost."""

_LOST = (UnavailableError, CallCancelledError)
"""How a connection ends that its server, or something between, let go; a server that stops cancels its streams."""


class Watch:
    """What a watch knows of its past."""

    def __init__(self, resume_token: str, reconnect: bool, timeout: float | None, on_lost: OnLost | None) -> None:
        self._token = resume_token
        self._reconnect = reconnect
        self._on_lost = on_lost
        self._end = None if timeout is None else time.monotonic() + timeout
        # Without a token an event comes at once; until it does, nobody at the address is an error, as elsewhere.
        self._has_connected = bool(resume_token)
        self._num_failures = 0

    def request(self) -> adapter_admin_pb2.WatchAdaptersRequest:
        """What goes on after the last event."""
        return adapter_admin_pb2.WatchAdaptersRequest(resume_token=self._token)

    def time_remaining(self) -> float | None:
        """Seconds; None: no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def seen(self, response: adapter_admin_pb2.WatchAdaptersResponse) -> WatchEvent | None:
        """Remember an event, and give it; None for one of a kind that is newer than this client."""
        self._has_connected, self._num_failures = True, 0
        # Empty within a snapshot, which can't be resumed: what was known before it is void.
        self._token = response.resume_token
        return event_of(response)

    def delay_after(self, error: AdapterMuxClientError | None) -> float:
        """Seconds to wait before the next connection, after a failure; raises it if there is no next one.

        None: the stream was ended in good order, which is no end of the watch either.
        """
        lost = error or UnavailableError("the server ended the watch", grpc.StatusCode.UNAVAILABLE)
        if not (self._reconnect and self._has_connected and isinstance(lost, _LOST)):
            raise lost
        if self._on_lost is not None:
            self._on_lost(lost)
        longest = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(self._num_failures, 16))
        self._num_failures += 1
        # Spread, so that the watchers of a server don't come back all at once.
        delay = longest * random.uniform(0.5, 1.0)
        left = self.time_remaining()
        return delay if left is None else min(delay, left)


def event_of(response: adapter_admin_pb2.WatchAdaptersResponse) -> WatchEvent | None:
    """The event of a message; None if its kind is newer than this client."""
    make = _EVENTS.get(response.WhichOneof("event") or "")
    return make(response, response.resume_token) if make else None


_EVENTS: dict[str, Callable[[adapter_admin_pb2.WatchAdaptersResponse, str], WatchEvent]] = {
    "snapshot_begin": lambda _, token: SnapshotBegan(token),
    "snapshot_end": lambda _, token: SnapshotEnded(token),
    "adapter": lambda message, token: AdapterChanged(convert_admin.adapter_info(message.adapter), token),
    "removed_adapter_id": lambda message, token: AdapterRemoved(message.removed_adapter_id, token),
    "alias": lambda message, token: AliasChanged(convert_admin.alias_info(message.alias), token),
    "removed_alias_name": lambda message, token: AliasRemoved(message.removed_alias_name, token),
}
