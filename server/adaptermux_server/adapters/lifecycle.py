"""Loading and unloading while traffic flows: the order of the steps, and what is true after each may fail.

A change, once begun, runs to its end as a task of its own, also if the call that asked for it is cancelled: no call
can leave an adapter half loaded. Steps that can fail come first; the one that moves an id can't, and doesn't await.
"""

import asyncio
import logging
import traceback
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from adaptermux_server.adapters.checkpoint import Checkpoint, CheckpointLimits, read_checkpoint
from adaptermux_server.adapters.hosts import ModelHost, PreparedAdapter, QueueHost
from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.registry import AdapterEntry, AdapterRegistry
from adaptermux_server.adapters.served import RevisionKey, ServedAdapter
from adaptermux_server.adapters.source import resolve_source
from adaptermux_server.errors import (
    AdapterMuxError,
    AdapterUnloadedError,
    DrainTimeoutError,
    InvalidRequestError,
    ShuttingDownError,
)
from adaptermux_server.types import AdapterState, ExecutorKind, Task

__all__ = ["Lifecycle", "LoadOptions", "ModelHost", "PreparedAdapter", "QueueHost"]

DEFAULT_DRAIN_SECONDS = 30.0
MAX_DRAIN_SECONDS = 3600.0

_MAX_CONCURRENT_READS = 4
_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Lifecycle:
    """Changes what the registry serves. One change at a time for each id; different ids change side by side."""

    def __init__(
        self,
        registry: AdapterRegistry,
        model_host: ModelHost[Any],
        queue_host: QueueHost,
        *,
        allowed_roots: Sequence[Path],
        default_max_wait_seconds: float,
        limits: CheckpointLimits | None = None,
    ) -> None:
        self._registry = registry
        self._model_host = model_host
        self._queue_host = queue_host
        self._allowed_roots = tuple(allowed_roots)
        self._default_max_wait_seconds = default_max_wait_seconds
        self._limits = limits or CheckpointLimits()
        # Each read may hold as much memory as the limits allow, until it is prepared.
        self._reads = asyncio.Semaphore(_MAX_CONCURRENT_READS)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._retiring: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    async def load(self, options: LoadOptions) -> AdapterRecord:
        """Load a revision and move the id to it; or what else `options` say.

        Repeatable: content that the id already serves, with the same labels and problem type, only updates weight and
        `max_wait_seconds`. After a failure everything serves as before; an id that nothing served is FAILED.

        Returns the adapter as it is then: READY; LOADING if it returns immediately; UNLOADED if it only validates.

        Raises:
            InvalidRequestError, SourceForbiddenError, SourceInvalidError, ConfigUnsupportedError,
            CheckpointMismatchError, and what `ModelHost.prepare` raises.
            ConcurrentChangeError: another change of the id is under way.
            ShuttingDownError: after `close`.
        """
        self._check_open()
        if options.validate_only:
            return await self._validate(options)
        entry = self._registry.begin_load(options.adapter_id, options.uri, options.weight, self._max_wait(options))
        task = self._spawn(self._load(entry, options))
        if options.return_immediately:
            return self._registry.record(entry)
        return await asyncio.shield(task)

    async def unload(
        self, adapter_id: str, drain_timeout_seconds: float = DEFAULT_DRAIN_SECONDS, *, force: bool = False
    ) -> AdapterRecord:
        """Refuse new requests from now on, wait for those in flight, free the slot and forget the id.

        `force` fails the rows that wait in the queue; a batch that is being computed finishes all the same.

        Returns the adapter as it was, in state UNLOADED.

        Raises:
            InvalidRequestError: the id is malformed, or the time isn't within 0 to an hour.
            AdapterNotFoundError: nothing has this id.
            ConcurrentChangeError: another change of the id is under way.
            DrainTimeoutError: requests are still in flight; the adapter stays DRAINING until it is unloaded again.
            ShuttingDownError: after `close`.
        """
        self._check_open()
        check_adapter_id(adapter_id, "adapter_id")
        if not 0 <= drain_timeout_seconds <= MAX_DRAIN_SECONDS:
            raise InvalidRequestError(("drain_timeout", f"must be from 0 to {MAX_DRAIN_SECONDS:g} s"))
        entry = self._registry.begin_unload(adapter_id)
        return await asyncio.shield(self._spawn(self._unload(entry, drain_timeout_seconds, force)))

    async def close(self) -> None:
        """Take no more changes and end those under way; a load that isn't READY yet fails."""
        self._closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _validate(self, options: LoadOptions) -> AdapterRecord:
        async with self._reads:
            checkpoint = await self._read(options)
            prepared = await self._prepare(checkpoint, _key(checkpoint, options))
        return AdapterRecord(
            id=options.adapter_id,
            state=AdapterState.UNLOADED,
            uri=options.uri,
            revision=checkpoint.digest,
            spec=prepared.spec,
            weight=options.weight,
            max_wait_seconds=self._max_wait(options),
        )

    async def _load(self, entry: AdapterEntry, options: LoadOptions) -> AdapterRecord:
        try:
            await self._read_and_serve(entry, options)
        except asyncio.CancelledError:
            # Only `close` cancels this task: whoever waits for it wasn't cancelled, and needs an answer.
            error = ShuttingDownError()
            self._registry.keep(entry, error)
            raise error from None
        except Exception as error:
            self._registry.keep(entry, error)
            raise
        return self._registry.record(entry)

    async def _read_and_serve(self, entry: AdapterEntry, options: LoadOptions) -> None:
        async with self._reads:
            checkpoint = await self._read(options)
            self._registry.note_digest(entry, checkpoint.digest)
            key = _key(checkpoint, options)
            if entry.current is not None and entry.state is AdapterState.READY and entry.current.key == key:
                self._update(entry.current, options)
                self._registry.keep(entry)
                return
            prepared = await self._prepare(checkpoint, key)
        await self._serve(entry, options, key, prepared)

    async def _read(self, options: LoadOptions) -> Checkpoint:
        return await asyncio.to_thread(self._read_blocking, options.uri)

    def _read_blocking(self, uri: str) -> Checkpoint:
        return read_checkpoint(resolve_source(uri, self._allowed_roots), self._limits)

    async def _prepare(self, checkpoint: Checkpoint, key: RevisionKey) -> PreparedAdapter:
        _check_fits(checkpoint.task, key)
        prepared: PreparedAdapter = await self._model_host.prepare(
            checkpoint, labels=key.labels, problem_type=key.problem_type
        )
        return prepared

    def _update(self, served: ServedAdapter, options: LoadOptions) -> None:
        served.weight, served.max_wait_seconds = options.weight, self._max_wait(options)
        self._configure(served.slot, options, served.spec.executor)

    async def _serve(
        self, entry: AdapterEntry, options: LoadOptions, key: RevisionKey, prepared: PreparedAdapter
    ) -> None:
        slot = self._registry.next_slot()
        self._configure(slot, options, prepared.spec.executor)
        try:
            await self._model_host.install(slot, prepared)
        except BaseException:
            self._queue_host.forget_slot(slot)
            raise
        served = ServedAdapter(
            id=options.adapter_id,
            key=key,
            slot=slot,
            spec=prepared.spec,
            uri=options.uri,
            weight=options.weight,
            max_wait_seconds=self._max_wait(options),
            clock=self._registry.clock,
        )
        for earlier in self._registry.publish(entry, served):
            self._retire(entry, earlier)

    def _configure(self, slot: int, options: LoadOptions, executor: ExecutorKind) -> None:
        self._queue_host.configure_slot(
            slot,
            label=options.adapter_id,
            weight=options.weight,
            max_wait_seconds=self._max_wait(options),
            executor=executor,
        )

    async def _unload(self, entry: AdapterEntry, drain_timeout_seconds: float, force: bool) -> AdapterRecord:
        try:
            if force:
                for served in entry.revisions:
                    self._queue_host.fail_slot(served.slot, AdapterUnloadedError(entry.id))
            await self._drain(entry, drain_timeout_seconds)
        except asyncio.CancelledError:
            raise ShuttingDownError from None
        finally:
            self._registry.end_change(entry)
        self._registry.forget(entry)
        return self._registry.record(entry, AdapterState.UNLOADED)

    async def _drain(self, entry: AdapterEntry, timeout_seconds: float) -> None:
        tasks = [self._retire(entry, served) for served in entry.revisions]
        if not tasks:
            return
        done, pending = await asyncio.wait(tasks, timeout=timeout_seconds)
        for task in done:
            task.result()
        if pending:
            raise DrainTimeoutError(entry.id, entry.num_in_flight)

    def _retire(self, entry: AdapterEntry, served: ServedAdapter) -> asyncio.Task[None]:
        """Free a revision's slot after its last request; repeatable."""
        task = self._retiring.get(served.slot)
        if task is None:
            task = self._retiring[served.slot] = self._spawn(self._free(entry, served))
            task.add_done_callback(lambda _: self._retiring.pop(served.slot))
        return task

    async def _free(self, entry: AdapterEntry, served: ServedAdapter) -> None:
        await served.wait_idle()
        await self._model_host.remove(served.slot)
        self._queue_host.forget_slot(served.slot)
        self._registry.release(entry, served)

    def _max_wait(self, options: LoadOptions) -> float:
        return self._default_max_wait_seconds if options.max_wait_seconds is None else options.max_wait_seconds

    def _check_open(self) -> None:
        if self._closed:
            raise ShuttingDownError

    def _spawn(self, work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        # Whoever waits for the task gets its error too; asking for it marks it as seen where nobody does.
        error = task.exception()
        if isinstance(error, AdapterMuxError):
            _log.info("a change of adapters failed: %s", error)
        elif error is not None:
            _log.error("a change of adapters failed unexpectedly", exc_info=error)
        while error is not None:
            # The registry keeps the error; its frames would keep the checkpoint's tensors.
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__


def _key(checkpoint: Checkpoint, options: LoadOptions) -> RevisionKey:
    return RevisionKey(
        checkpoint.digest, options.labels or checkpoint.labels or (), options.problem_type or checkpoint.problem_type
    )


def _check_fits(task: Task, key: RevisionKey) -> None:
    if key.labels and task not in (Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION):
        raise InvalidRequestError(("labels", f"an adapter for {task.value} has none"))
    if key.problem_type and task is not Task.SEQUENCE_CLASSIFICATION:
        raise InvalidRequestError(("problem_type", f"an adapter for {task.value} has none"))
