"""All that survives a restart, in one folder, for one process.

lock                who uses it
registry.sqlite     what is registered (`database`)
content/ incoming/  the files of adapters (`content`)
reserve             room for deletions on a full disk
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Self

from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.store.content import ContentStore
from adaptermux_server.adapters.store.database import Database
from adaptermux_server.adapters.store.failures import storage_failures
from adaptermux_server.adapters.store.files import make_folder
from adaptermux_server.adapters.store.lock import StoreLock
from adaptermux_server.adapters.store.reserve import Reserve


class Store:
    """The open store. What the opening found damaged is in `database.dropped` and `content.corrupt`, and in the log."""

    database: Database
    content: ContentStore
    reserve: Reserve

    def __init__(
        self, root: Path, limits: CheckpointLimits = DEFAULT_LIMITS, clock: Callable[[], float] = time.time
    ) -> None:
        """Open the store in `root`, or make it. `clock`: seconds since the epoch.

        Raises StoreOpenError (it is in use, or a newer server's), StoreFullError or StoreUnavailableError.
        """
        with ExitStack() as stack:
            with storage_failures():
                root.parent.mkdir(parents=True, exist_ok=True)
                make_folder(root)
                stack.enter_context(closing(StoreLock(root / "lock", clock)))
            self.database = stack.enter_context(closing(Database(root / "registry.sqlite", clock)))
            self.content = ContentStore(root, self.database, limits, clock)
            self.reserve = Reserve(root / "reserve")
            self.reserve.keep()
            self._resources = stack.pop_all()

    def close(self) -> None:
        """Close the database and let another process open the store."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
