"""From an adapter's folder to what only needs a slot: the files read and checked, then prepared for the base model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adaptermux_server.adapters.checkpoint import Checkpoint, read_checkpoint
from adaptermux_server.adapters.hosts import ModelHost, PreparedAdapter
from adaptermux_server.adapters.limits import DEFAULT_LIMITS, CheckpointLimits
from adaptermux_server.adapters.served import RevisionKey
from adaptermux_server.errors import DigestMismatchError, InvalidRequestError
from adaptermux_server.tracing.calls import phase
from adaptermux_server.types import Task

_MAX_CONCURRENT_READS = 4


class Loader:
    """Reads and prepares a few adapters at once; others wait their turn."""

    def __init__(self, model_host: ModelHost[Any], limits: CheckpointLimits = DEFAULT_LIMITS) -> None:
        self._model_host = model_host
        self._limits = limits
        # Each read may hold as much memory as the limits allow, until it is prepared.
        self._turns = asyncio.Semaphore(_MAX_CONCURRENT_READS)

    @asynccontextmanager
    async def reading(self, folder: Path, digest: str = "") -> AsyncIterator[Checkpoint]:
        """The checked content of a folder; it takes up a turn until the context ends. `digest`: what it has, if known.

        Raises SourceInvalidError, ConfigUnsupportedError, CheckpointMismatchError or DigestMismatchError.
        """
        async with self._turns:
            with phase("read"):
                checkpoint = await asyncio.to_thread(read_checkpoint, folder, self._limits)
            if digest and checkpoint.digest != digest:
                raise DigestMismatchError(digest, checkpoint.digest)
            yield checkpoint

    async def prepare(self, checkpoint: Checkpoint, key: RevisionKey) -> PreparedAdapter:
        """See `ModelHost.prepare`. Raises InvalidRequestError for choices that the adapter's task doesn't have."""
        _check_fits(checkpoint.task, key)
        with phase("prepare"):
            prepared: PreparedAdapter = await self._model_host.prepare(
                checkpoint, labels=key.labels, problem_type=key.problem_type
            )
        return prepared

    async def load(self, folder: Path, key: RevisionKey) -> PreparedAdapter:
        """Read and prepare a revision that was loaded before. Raises as the above."""
        async with self.reading(folder, key.digest) as checkpoint:
            return await self.prepare(checkpoint, key)


def _check_fits(task: Task, key: RevisionKey) -> None:
    if key.labels and task not in (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION):
        raise InvalidRequestError(("labels", f"an adapter for {task.value} has none"))
    if key.problem_type and task is not Task.SEQUENCE_CLASSIFICATION:
        raise InvalidRequestError(("problem_type", f"an adapter for {task.value} has none"))
