"""The calls of `AdapterAdmin` as values; see `calls`."""

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client import convert_admin
from adaptermux_client.admin_results import AdapterInfo, AdapterPage, AdapterState, ServerStatus
from adaptermux_client.calls import Call
from adaptermux_client.requests import duration, problem_type_value, source_uri
from adaptermux_client.results import ProblemType

T = TypeVar("T")

_UNLOAD_MARGIN_SECONDS = 10.0


class Unset(Enum):
    """The kind of `UNSET`."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given: left as it is. (None is given, and means the default.)"""


def load_adapter(
    adapter_id: str,
    source: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    labels: Sequence[str] = (),
    problem_type: ProblemType = ProblemType.UNSPECIFIED,
    weight: float = 1.0,
    max_wait_seconds: float | None = None,
    pinned: bool = False,
    metadata: Mapping[str, str] | None = None,
    validate_only: bool = False,
    return_immediately: bool = False,
    timeout: float | None = None,
) -> Call[AdapterInfo]:
    """Load an adapter while traffic flows, and return when it is READY.

    Args:
        adapter_id: lower-case letters, digits, ".", "_" and "-"; at most 64 characters.
        source: a folder of the *server's* machine: an absolute path or a URI, sent as it is; or a path object, which
            is made absolute on this machine. Either this or `revision`.
        revision: a content of the server's store, by its whole revision: one that was uploaded, or that an adapter has
            or had.
        labels: names in the order of the logits; none given: those of the adapter's files, else LABEL_0…
        problem_type: for sequence classification; UNSPECIFIED is as the files say.
        weight: share of compute under contention, relative to other adapters.
        max_wait_seconds: the longest wait in the queue before this adapter is given precedence; None is the server's.
        pinned: whether it stays in the engine, come what may.
        metadata: notes to filter by; None: none.
        validate_only: whether to check everything and load nothing (the state is then UNLOADED).
        return_immediately: whether to return in state LOADING; poll `adapter` for the end.
        timeout: see `calls.classify`. A call that times out may still have loaded the adapter: it can be repeated.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; the server is then as it was before.
        ValueError: not exactly one of `source` and `revision` is given.
    """
    if (source is None) == (revision is None):
        raise ValueError("give either a source or a revision")
    request = adapter_admin_pb2.LoadAdapterRequest(
        adapter_id=adapter_id,
        uri="" if source is None else source_uri(source),
        revision=revision or "",
        labels=labels,
        problem_type=problem_type_value(problem_type),
        weight=weight,
        max_wait=duration(max_wait_seconds),
        pinned=pinned,
        metadata=metadata,
        validate_only=validate_only,
        return_immediately=return_immediately,
    )
    return Call("LoadAdapter", request, _adapter_of, timeout)


def unload_adapter(
    adapter_id: str,
    *,
    drain_timeout_seconds: float = 30.0,
    force: bool = False,
    timeout: float | None = None,
) -> Call[AdapterInfo]:
    """Take no new requests for an adapter, let those in flight finish, free it, and return how it was.

    Its content stays in the server's store for some days: `load_adapter(adapter_id, revision=…)` brings it back.

    Args:
        adapter_id: which one.
        drain_timeout_seconds: how long to wait for requests in flight.
        force: whether to fail the requests that wait in the queue.
        timeout: see `calls.classify`; None is ten seconds more than the drain.

    Raises:
        DrainTimeoutError: it stays DRAINING; call again, or with `force`.
        AdapterMuxClientError: another subclass by status and reason.
    """
    request = adapter_admin_pb2.UnloadAdapterRequest(
        adapter_id=adapter_id, drain_timeout=duration(drain_timeout_seconds), force=force
    )
    if timeout is None:
        timeout = drain_timeout_seconds + _UNLOAD_MARGIN_SECONDS
    return Call("UnloadAdapter", request, _adapter_of, timeout)


def delete_adapter(
    adapter_id: str,
    *,
    drain_timeout_seconds: float = 30.0,
    force: bool = False,
    timeout: float | None = None,
) -> Call[AdapterInfo]:
    """Unload an adapter, and remove what no other adapter uses of its content and its earlier revisions'.

    Args:
        adapter_id: which one.
        drain_timeout_seconds: see `unload_adapter`.
        force: see `unload_adapter`.
        timeout: see `unload_adapter`.

    Raises:
        AliasedError: an alias points at it; nothing was done.
        DrainTimeoutError: it stays DRAINING; call again, or with `force`.
        AdapterMuxClientError: another subclass by status and reason.
    """
    request = adapter_admin_pb2.DeleteAdapterRequest(
        adapter_id=adapter_id, drain_timeout=duration(drain_timeout_seconds), force=force
    )
    if timeout is None:
        timeout = drain_timeout_seconds + _UNLOAD_MARGIN_SECONDS
    return Call("DeleteAdapter", request, _adapter_of, timeout)


def update_adapter(
    adapter_id: str,
    *,
    weight: float | Unset | None = UNSET,
    max_wait_seconds: float | Unset | None = UNSET,
    pinned: bool | Unset | None = UNSET,
    metadata: Mapping[str, str] | Unset | None = UNSET,
    timeout: float | None = None,
) -> Call[AdapterInfo]:
    """Change those options of an adapter that are given; None is the default. No request in flight is touched.

    Args:
        adapter_id: which one.
        weight: see `load_adapter`.
        max_wait_seconds: see `load_adapter`.
        pinned: see `load_adapter`.
        metadata: all notes anew; those that aren't in it are gone.
        timeout: see `calls.classify`.

    Raises:
        MemoryFullError: there is no room for one more pinned adapter.
        AdapterMuxClientError: another subclass by status and reason.
        ValueError: nothing to change is given.
    """
    given = {"weight": weight, "max_wait": max_wait_seconds, "pinned": pinned, "metadata": metadata}
    paths = [path for path, value in given.items() if value is not UNSET]
    if not paths:
        raise ValueError("give at least one option to change")
    # What isn't given, and None, is the default of its field, which says nothing.
    changed = adapter_admin_pb2.Adapter(
        id=adapter_id,
        weight=_given(weight) or 0.0,
        max_wait=duration(_given(max_wait_seconds)),
        pinned=_given(pinned) or False,
        metadata=_given(metadata),
    )
    request = adapter_admin_pb2.UpdateAdapterRequest(adapter=changed, update_mask=FieldMask(paths=paths))
    return Call("UpdateAdapter", request, _adapter_of, timeout)


def adapter(adapter_id: str, *, timeout: float | None = None) -> Call[AdapterInfo]:
    """Describe one adapter.

    Raises:
        AdapterNotFoundError: the server doesn't know it.
        AdapterMuxClientError: another subclass by status and reason.
    """
    return Call("GetAdapter", adapter_admin_pb2.GetAdapterRequest(adapter_id=adapter_id), _adapter_of, timeout)


def adapter_page(
    *,
    state: AdapterState = AdapterState.UNSPECIFIED,
    filter: str = "",
    page_size: int = 0,
    page_token: str = "",
    timeout: float | None = None,
) -> Call[AdapterPage]:
    """List adapters by id, one page of them; `adapters` walks all pages.

    Args:
        state: only adapters in this state; UNSPECIFIED gives all.
        filter: only adapters that it fits, for example "metadata.team = search AND NOT pinned"; empty gives all.
        page_size: the most to return; 0 is the server's default.
        page_token: `next_page_token` of the page before; empty is the first page.
        timeout: see `calls.classify`.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    request = adapter_admin_pb2.ListAdaptersRequest(
        page_size=page_size,
        page_token=page_token,
        state=adapter_admin_pb2.AdapterState.Value(f"ADAPTER_STATE_{state}"),
        filter=filter,
    )
    return Call("ListAdapters", request, convert_admin.adapter_page, timeout)


def status(*, timeout: float | None = None) -> Call[ServerStatus]:
    """Describe the server: queue, batches, traversals, memory, versions. Cheap; may be polled.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    return Call("GetServerStatus", adapter_admin_pb2.GetServerStatusRequest(), convert_admin.server_status, timeout)


def _adapter_of(
    response: adapter_admin_pb2.LoadAdapterResponse
    | adapter_admin_pb2.UnloadAdapterResponse
    | adapter_admin_pb2.DeleteAdapterResponse
    | adapter_admin_pb2.UpdateAdapterResponse
    | adapter_admin_pb2.GetAdapterResponse,
) -> AdapterInfo:
    return convert_admin.adapter_info(response.adapter)


def _given(value: T | Unset | None) -> T | None:
    """What a message is made with; its field stays unset for None."""
    return None if isinstance(value, Unset) else value
