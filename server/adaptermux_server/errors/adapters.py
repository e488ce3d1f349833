"""Failures of adapters: of their sources and checkpoints, and of what is asked of them."""

from collections.abc import Sequence

from adaptermux_server.errors.base import AdapterMuxError


class SourceInvalidError(AdapterMuxError):
    """An adapter's source can't be read, or holds what must not be opened."""

    reason = "SOURCE_INVALID"

    def __init__(self, message: str, file: str = "") -> None:
        """`file`: the file's name within the source."""
        super().__init__(message, file=file)


class SourceForbiddenError(AdapterMuxError):
    """An adapter's source isn't one that the operator allowed."""

    reason = "SOURCE_FORBIDDEN"


class SourceUnavailableError(AdapterMuxError):
    """An adapter's source can't be reached for now."""

    reason = "SOURCE_UNAVAILABLE"

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}: retry later; the server's log has the cause", retry_seconds=5.0)


class ConfigUnsupportedError(AdapterMuxError):
    """A field of an adapter's configuration isn't supported exactly."""

    reason = "CONFIG_UNSUPPORTED"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}", field=field)


class _TensorError(AdapterMuxError):
    """A failure that one tensor shows."""

    def __init__(self, tensor: str, message: str) -> None:
        super().__init__(f"{tensor}: {message}", tensor=tensor)


class BaseMismatchError(_TensorError):
    """The adapter was trained on another base."""

    reason = "BASE_MISMATCH"


class CheckpointMismatchError(_TensorError):
    """An adapter's weights don't fit its own configuration, or aren't finite."""

    reason = "CHECKPOINT_MISMATCH"


class HeadIncompleteError(AdapterMuxError):
    """Part of an adapter's head isn't in its checkpoint."""

    reason = "HEAD_INCOMPLETE"

    def __init__(self, tensors: Sequence[str], modules: Sequence[str]) -> None:
        """`tensors`: what is missing; `modules`: what `modules_to_save` must name for it to be saved."""
        super().__init__(
            f"the checkpoint lacks {', '.join(tensors)}: PEFT saves them only if `modules_to_save` names"
            f" {', '.join(modules)}; train or save the adapter again with that",
            tensors=",".join(tensors),
        )


class ConcurrentChangeError(AdapterMuxError):
    """Another load or unload of the same id is under way."""

    reason = "CONCURRENT_CHANGE"

    def __init__(self, adapter: str) -> None:
        super().__init__(
            f"another load or unload of adapter {adapter!r} is under way: wait for it, then decide again",
            adapter=adapter,
        )


class DrainTimeoutError(AdapterMuxError):
    """Requests were still in flight at the end of the drain."""

    reason = "DRAIN_TIMEOUT"

    def __init__(self, adapter: str, in_flight: int) -> None:
        super().__init__(
            f"adapter {adapter!r} still has {in_flight} requests in flight: it stays DRAINING; call again, or use"
            " `force`",
            adapter=adapter,
            in_flight=in_flight,
        )


class MemoryFullError(AdapterMuxError):
    """The adapter doesn't fit the engine beside those that are pinned or in use."""

    reason = "MEMORY_FULL"

    def __init__(self, needed_bytes: int, limit_bytes: int) -> None:
        """`limit_bytes`: of all adapters in the engine; 0: only their number is bounded."""
        bound = f"; the engine's limit is {limit_bytes} bytes" if limit_bytes else ""
        super().__init__(
            f"no room in the engine for {needed_bytes} bytes beside the adapters that are pinned or in use{bound}:"
            " unpin or unload others, or ask the operator for more; if they are only in use, retry",
            needed_bytes=needed_bytes,
            limit_bytes=limit_bytes,
        )


class AliasNotFoundError(AdapterMuxError):
    """No alias has this name."""

    reason = "ALIAS_NOT_FOUND"

    def __init__(self, alias: str) -> None:
        super().__init__(f"there is no alias {alias!r}; ListAliases shows all", alias=alias)


class AliasedError(AdapterMuxError):
    """The adapter can't be deleted while aliases point at it."""

    reason = "ALIASED"

    def __init__(self, adapter: str, aliases: Sequence[str]) -> None:
        super().__init__(
            f"adapter {adapter!r} can't be deleted while aliases point at it; move or delete these first:"
            f" {', '.join(aliases)}",
            adapter=adapter,
            aliases=",".join(aliases),
        )
