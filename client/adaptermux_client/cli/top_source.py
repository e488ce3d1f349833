"""Where `adaptermux top` has its figures from: a watch of forwards, and a status asked for in turns, in two threads."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from adaptermux_client.admin_results import AdapterInfo, ServerStatus
from adaptermux_client.cli.top_figures import Picture, Window
from adaptermux_client.errors import AdapterMuxClientError
from adaptermux_client.sync_admin import AdminClient

_RETRY_SECONDS = 1.0
_CALL_SECONDS = 5.0
_LEAVE_SECONDS = 1.0
_PAGE_SIZE = 1000
_MAX_SHARE_OF_TIME = 0.1
"""Of this client's asking: lists of thousands of adapters take the server long enough to be asked for more seldom."""


class Source:
    """Follows a server from `with` on; a lost one is looked for until it is found again."""

    def __init__(self, client: AdminClient, interval: float) -> None:
        """Ask once, in this thread. Raises AdapterMuxClientError.

        Args:
            client: closed at the end, which ends the watch at once.
            interval: seconds between two askings for the status.
        """
        self._client = client
        self._interval = interval
        self._window = Window(time.monotonic())
        self._status, self._adapters, self._lost = *self._ask(), ""
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(turn,), daemon=True) for turn in (self._follow, self._poll)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._client.close()
        for thread in self._threads:
            thread.join(_LEAVE_SECONDS)

    @property
    def lost(self) -> str:
        """Why the server can't be reached; empty: it can."""
        return self._lost

    def picture(self) -> Picture:
        """What there is to show now; of a lost server, how it was."""
        with self._lock:
            return self._window.picture(self._status, self._adapters, time.monotonic())

    def _run(self, turn: Callable[[], None]) -> None:
        try:
            turn()
        except ValueError:  # so gRPC calls it when a channel is used that was closed
            if not self._over.is_set():
                raise

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                for watched in self._client.watch_batches():
                    with self._lock:
                        self._window.add(watched, time.monotonic())
            except AdapterMuxClientError as error:
                self._lost = error.message
            self._over.wait(_RETRY_SECONDS)

    def _poll(self) -> None:
        pause = self._interval
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                status, adapters = self._ask()
                with self._lock:
                    self._status, self._adapters = status, adapters
                self._lost = ""
            except AdapterMuxClientError as error:
                self._lost = error.message
            pause = max(self._interval, (time.monotonic() - began) / _MAX_SHARE_OF_TIME)

    def _ask(self) -> tuple[ServerStatus, Sequence[AdapterInfo]]:
        status = self._client.status(timeout=_CALL_SECONDS)
        return status, list(self._client.adapters(page_size=_PAGE_SIZE, timeout=_CALL_SECONDS))
