"""What health checks are told, decided in one place: whether calls are taken, and whether the engine moves."""

import asyncio

from adaptermux_server.transport.listeners import Listener


class Serving:
    """Health of both listeners: NOT_SERVING until calls are accepted, and after.

    While the engine is stalled, the data listener is NOT_SERVING: whoever balances load sends its requests elsewhere.
    The admin listener goes on: operators need it most then.
    """

    def __init__(self, data: Listener, admin: Listener) -> None:
        self._data, self._admin = data, admin
        self._accepting = self._stalled = False
        # Whoever tells last must tell the newest.
        self._telling = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether health of the data listener is SERVING."""
        return self._accepting and not self._stalled

    async def accept(self, accepting: bool) -> None:
        """The server has started (True), or begins to stop (False)."""
        self._accepting = accepting
        await self._tell()

    async def stall(self, stalled: bool) -> None:
        """The engine's command under way has run for too long (True), or has ended (False)."""
        self._stalled = stalled
        await self._tell()

    async def _tell(self) -> None:
        async with self._telling:
            await self._data.set_serving(self.is_ready)
            await self._admin.set_serving(self._accepting)
