"""Where a load reads its files: from the store, or from a source that the operator allowed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.tracing.calls import phase


class Origin:
    """Finds the folder for a load."""

    def __init__(self, catalog: Catalog, sources: Sources) -> None:
        self._catalog, self._sources = catalog, sources

    @asynccontextmanager
    async def open(self, options: LoadOptions) -> AsyncIterator[Path]:
        """The folder that holds what is to be loaded, there until the context ends.

        Raises RevisionNotFoundError, InvalidRequestError, SourceForbiddenError, SourceInvalidError or
        SourceUnavailableError.
        """
        if options.revision:
            async with self._catalog.opened(options.revision) as folder:
                yield folder
            return
        source = self._sources.open(options.uri)
        with phase("fetch"):
            folder = await _entered(source)
        try:
            yield folder
        finally:
            await asyncio.to_thread(source.__exit__, None, None, None)


async def _entered(source: AbstractContextManager[Path]) -> Path:
    entering = asyncio.ensure_future(asyncio.to_thread(source.__enter__))
    try:
        return await asyncio.shield(entering)
    except asyncio.CancelledError:
        # The thread goes on: what it will have fetched is nobody's.
        entering.add_done_callback(lambda task: _entered_in_vain(task, source))
        raise


def _entered_in_vain(entering: "asyncio.Future[Path]", source: AbstractContextManager[Path]) -> None:
    if not entering.cancelled() and entering.exception() is None:
        source.__exit__(None, None, None)
