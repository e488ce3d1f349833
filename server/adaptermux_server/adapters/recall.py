"""Bringing back an adapter that only the store has."""

import logging

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.hosts import PreparedAdapter
from adaptermux_server.adapters.loader import Loader
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.errors import AdapterMuxError, AdapterNotReadyError, ShuttingDownError
from adaptermux_server.types import AdapterState

_log = logging.getLogger(__name__)


class Recall:
    """Reads and prepares adapters again; each was loaded before, so a failure means that something was damaged."""

    def __init__(self, registry: AdapterRegistry, catalog: Catalog, loader: Loader) -> None:
        self._registry, self._catalog, self._loader = registry, catalog, loader

    async def __call__(self, served: ServedAdapter) -> PreparedAdapter:
        """Prepare an adapter from the store. Raises AdapterNotReadyError; the adapter is then FAILED, and says why."""
        try:
            async with self._catalog.opened(served.revision) as folder:
                return await self._loader.load(folder, served.key)
        except ShuttingDownError:
            raise
        except AdapterMuxError as error:
            _log.error("adapter %s can't be brought up from the store and has failed: %s", served.id, error)
            self._registry.fail(served, error)
            raise AdapterNotReadyError(served.id, AdapterState.FAILED) from error
