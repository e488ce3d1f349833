"""Moving aliases: durable first, then in one step for all requests."""

from dataclasses import replace

from adaptermux_server.adapters.aliases import Alias
from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.store.stored import StoredAlias
from adaptermux_server.adapters.tasks import Tasks


class AliasChanges:
    """Changes aliases, in the order of the catalog, so that the store and the registry see them alike."""

    def __init__(self, registry: AdapterRegistry, catalog: Catalog) -> None:
        self._registry, self._catalog = registry, catalog
        self._tasks = Tasks()

    async def set(self, alias: Alias) -> Alias:
        """Make or move an alias; returns it as it is now, with whole revisions.

        Raises InvalidRequestError, AdapterNotFoundError, AdapterNotReadyError, StoreFullError, StoreUnavailableError or
        ShuttingDownError; nothing is changed then.
        """
        self._tasks.check_open()
        return await self._tasks.run(self._set(alias))

    async def delete(self, name: str) -> Alias:
        """Remove an alias; returns it as it was. Raises AliasNotFoundError, or as `set` does."""
        self._tasks.check_open()
        check_adapter_id(name, "name")
        return await self._tasks.run(self._delete(name))

    async def close(self) -> None:
        """Take no more changes and end those under way."""
        await self._tasks.close()

    async def _set(self, alias: Alias) -> Alias:
        async with self._catalog.order:
            with self._registry.coming_alias(alias) as whole:
                now = replace(whole, update_time=self._registry.clock())
                targets = tuple((target.adapter, target.weight) for target in now.targets)
                await self._catalog.put_alias(StoredAlias(now.name, targets, now.update_time))
                self._registry.set_alias(now)
                return now

    async def _delete(self, name: str) -> Alias:
        async with self._catalog.order:
            self._registry.alias(name)
            await self._catalog.delete_alias(name)
            return self._registry.delete_alias(name)
