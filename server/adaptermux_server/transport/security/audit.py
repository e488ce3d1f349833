"""The audit log: one line for each call of the admin service, whatever became of it."""

import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog

from adaptermux_server.transport.border import Context
from adaptermux_server.transport.outcome import code_of, sent_info
from adaptermux_server.transport.security.callers import current_caller
from adaptermux_server.transport.security.handlers import ServiceInterceptor, replaced, served_by

LOGGER = "audit"
_MAX_CHARACTERS = 256
_MAX_ITEMS = 16
_COMMON_NAME = "x509_common_name"

_Facts = dict[str, object]


class Audit(ServiceInterceptor):
    """Logs the calls of one service. It stands before authentication, so that refused calls are logged too."""

    def __init__(self, service_name: str) -> None:
        super().__init__(service_name)
        # Whatever else the operator chose to log: these lines are no chatter.
        logging.getLogger(LOGGER).setLevel(logging.INFO)
        self._log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
            logging.getLogger(LOGGER), wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
        )

    def _wrapped(self, handler: Any, rpc: str) -> Any:
        inner = served_by(handler)

        async def answer(request: Any, context: Context) -> Any:
            facts: _Facts = {}
            noted = _noting(rpc, request, facts, streamed=handler.request_streaming)
            with _line(self._log, rpc, context, facts):
                response = await inner(noted, context)
                facts.update(_outcome(rpc, response))
                return response

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            facts: _Facts = {}
            noted = _noting(rpc, request, facts, streamed=handler.request_streaming)
            with _line(self._log, rpc, context, facts):
                async with aclosing(inner(noted, context)) as responses:
                    async for response in responses:
                        yield response

        return replaced(handler, stream if handler.response_streaming else answer)


@contextmanager
def _line(log: structlog.typing.FilteringBoundLogger, rpc: str, context: Context, facts: _Facts) -> Iterator[None]:
    """Log a call when the context ends, however it does. `facts`: what is known of it by then."""
    started, error = time.perf_counter(), None
    # Now: a stream may be closed by the garbage collector, long after its call, and gRPC then follows dead pointers.
    certificate, peer = _certificate_name(context), context.peer()
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        caller = current_caller.get()
        log.info(
            "audit",
            rpc=rpc,
            token=caller.name if caller else "",
            certificate=certificate,
            peer=peer,
            **facts,
            code=code_of(error, context).name,
            reason=sent_info(context).reason,
            seconds=round(time.perf_counter() - started, 6),
        )


def _certificate_name(context: Context) -> str:
    """What a client's certificate calls it; empty without mTLS."""
    names = context.auth_context().get(_COMMON_NAME) or ()
    return str(_shown(b"".join(names).decode("utf-8", "replace")))


def _noting(rpc: str, request: Any, facts: _Facts, *, streamed: bool) -> Any:
    """Note what a request is about; of streamed ones the first says it."""
    if streamed:
        return _noting_first(rpc, request, facts)
    facts.update(_subject(rpc, request))
    return request


async def _noting_first(rpc: str, requests: AsyncIterable[Any], facts: _Facts) -> AsyncIterator[Any]:
    first = True
    async for request in requests:
        if first:
            facts.update(_subject(rpc, request))
        first = False
        yield request


def _subject(rpc: str, request: Any) -> _Facts:
    """What a request is about, of those fields that matter; none of a request that couldn't be decoded."""
    is_message = hasattr(request, "DESCRIPTOR")
    found = SUBJECTS[rpc](request) if is_message and rpc in SUBJECTS else {}
    return {name: _shown(value) for name, value in found.items() if value}


def _outcome(rpc: str, response: Any) -> _Facts:
    if rpc != "UploadAdapter":
        return {}
    return {"revision": response.revision, "size_bytes": response.size_bytes}


def _load(request: Any) -> Mapping[str, object]:
    # Its `metadata` is the operator's own and may hold anything.
    names = ("adapter_id", "revision", "pinned", "validate_only", "return_immediately")
    return {"uri": _without_secrets(request.uri), **{name: getattr(request, name) for name in names}}


def _unload(request: Any) -> Mapping[str, object]:
    return {"adapter_id": request.adapter_id, "force": request.force}


def _nothing(request: Any) -> Mapping[str, object]:
    return {}


SUBJECTS: Mapping[str, Callable[[Any], Mapping[str, object]]] = {
    "UploadAdapter": lambda request: {"revision": request.metadata.revision},
    "LoadAdapter": _load,
    "UnloadAdapter": _unload,
    "DeleteAdapter": _unload,
    "UpdateAdapter": lambda request: {"adapter_id": request.adapter.id, "fields": request.update_mask.paths},
    "GetAdapter": lambda request: {"adapter_id": request.adapter_id},
    "ListAdapters": _nothing,
    "SetAlias": lambda request: {
        "alias": request.alias.name,
        "targets": [f"{target.adapter}={target.weight or 1}" for target in request.alias.targets[:_MAX_ITEMS]],
    },
    "DeleteAlias": lambda request: {"alias": request.name},
    "ListAliases": _nothing,
    "WatchAdapters": _nothing,
    "WatchBatches": _nothing,
    "GetServerStatus": _nothing,
}
"""What each RPC is about."""


def _without_secrets(uri: str) -> str:
    """Scheme, host and path: a user, a password or a signature stand in the rest."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(not a URI)"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path


def _shown(value: Any) -> object:
    """A value as one line: what callers send can't forge others."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        text = value[: _MAX_CHARACTERS + 1]
        text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
        return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    return [_shown(item) for item in value[:_MAX_ITEMS]]
