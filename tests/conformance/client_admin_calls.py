"""Each request to the admin listener as the call that a user of the asyncio client would write."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client import AdapterState, AsyncAdminClient

_Admin: TypeAlias = AsyncAdminClient
_Seconds: TypeAlias = float | None
"""The call's deadline; None: the client's own."""

_DEFAULT_DRAIN_SECONDS = 30.0


async def upload(admin: _Admin, request: adapter_admin_pb2.UploadAdapterRequest, folder: str, seconds: _Seconds) -> Any:
    """`request`: the first message, without the files."""
    return await admin.upload_adapter(folder, revision=request.metadata.revision or None, timeout=seconds)


async def _load(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    adapter = await admin.load_adapter(
        request.adapter_id,
        request.uri or None,
        revision=request.revision or None,
        labels=request.labels,
        weight=request.weight or 1.0,
        max_wait_seconds=_seconds_of(request, "max_wait"),
        pinned=request.pinned,
        metadata=request.metadata,
        validate_only=request.validate_only,
        timeout=seconds,
    )
    return {"adapter": adapter}


async def _unload(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    drain = _seconds_of(request, "drain_timeout", _DEFAULT_DRAIN_SECONDS)
    adapter = await admin.unload_adapter(
        request.adapter_id, drain_timeout_seconds=drain, force=request.force, timeout=seconds
    )
    return {"adapter": adapter}


async def _delete(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    drain = _seconds_of(request, "drain_timeout", _DEFAULT_DRAIN_SECONDS)
    adapter = await admin.delete_adapter(
        request.adapter_id, drain_timeout_seconds=drain, force=request.force, timeout=seconds
    )
    return {"adapter": adapter}


async def _update(admin: _Admin, request: adapter_admin_pb2.UpdateAdapterRequest, seconds: _Seconds) -> Any:
    adapter = request.adapter
    values: dict[str, tuple[str, Any]] = {
        "weight": ("weight", adapter.weight or None),
        "max_wait": ("max_wait_seconds", _seconds_of(adapter, "max_wait")),
        "pinned": ("pinned", adapter.pinned or None),
        "metadata": ("metadata", adapter.metadata or None),
    }
    changes = dict(values[path] for path in request.update_mask.paths)
    return {"adapter": await admin.update_adapter(adapter.id, **changes, timeout=seconds)}


async def _get(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    return {"adapter": await admin.adapter(request.adapter_id, timeout=seconds)}


async def _list(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    state = list(AdapterState)[request.state]
    walk = admin.adapters(state=state, filter=request.filter, page_size=request.page_size, timeout=seconds)
    return {"adapters": [adapter async for adapter in walk]}


async def _set_alias(admin: _Admin, request: adapter_admin_pb2.SetAliasRequest, seconds: _Seconds) -> Any:
    targets = {target.adapter: target.weight or 1 for target in request.alias.targets}
    return {"alias": await admin.set_alias(request.alias.name, targets, timeout=seconds)}


async def _delete_alias(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    return {"alias": await admin.delete_alias(request.name, timeout=seconds)}


async def _list_aliases(admin: _Admin, request: Any, seconds: _Seconds) -> Any:
    walk = admin.aliases(page_size=request.page_size, timeout=seconds)
    return {"aliases": [alias async for alias in walk]}


async def _status(admin: _Admin, _: Any, seconds: _Seconds) -> Any:
    return await admin.status(timeout=seconds)


BY_RPC: dict[str, Callable[[_Admin, Any, _Seconds], Awaitable[Any]]] = {
    "LoadAdapter": _load,
    "UnloadAdapter": _unload,
    "DeleteAdapter": _delete,
    "UpdateAdapter": _update,
    "GetAdapter": _get,
    "ListAdapters": _list,
    "SetAlias": _set_alias,
    "DeleteAlias": _delete_alias,
    "ListAliases": _list_aliases,
    "GetServerStatus": _status,
}


def _seconds_of(message: Any, field: str, absent: Any = None) -> Any:
    """Of a duration; `absent` where there is none."""
    duration: Duration = getattr(message, field)
    return duration.ToNanoseconds() / 1e9 if message.HasField(field) else absent
