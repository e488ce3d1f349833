"""How those who follow something learn that there is more of it."""

import asyncio


class News:
    """Wakes all who wait each time that something is told. Owned by the event loop.

    Each wait is for one event, which stays set; so nobody has to clear it, and nobody can miss it.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake those who wait now; who comes later waits for the next."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Return once something is told."""
        await self._event.wait()
