"""Messages of the control plane to checked values; what isn't about the message itself is checked by the lifecycle."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import duration_pb2

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters import filters
from adaptermux_server.adapters.aliases import Alias, AliasTarget
from adaptermux_server.adapters.lifecycle import DEFAULT_DRAIN_SECONDS
from adaptermux_server.adapters.options import LoadOptions, OptionsChange
from adaptermux_server.adapters.paging import PageRequest
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.transport.admin_convert import STATES
from adaptermux_server.transport.checks import PROBLEM_TYPES
from adaptermux_server.types import AdapterState

_STATE_OF_NUMBER = {number: state for state, number in STATES.items()}


def check_load(request: adapter_admin_pb2.LoadAdapterRequest) -> LoadOptions:
    """Check a LoadAdapter request."""
    if request.problem_type not in PROBLEM_TYPES:
        text = f"{request.problem_type} isn't a value of this enum that the server knows"
        raise InvalidRequestError(("problem_type", text))
    return LoadOptions(
        adapter_id=request.adapter_id,
        uri=request.uri,
        revision=request.revision,
        labels=tuple(request.labels),
        problem_type=PROBLEM_TYPES[request.problem_type],
        weight=request.weight or 1.0,
        max_wait_seconds=_seconds(request.max_wait) if request.HasField("max_wait") else None,
        pinned=request.pinned,
        metadata=dict(request.metadata),
        validate_only=request.validate_only,
        return_immediately=request.return_immediately,
    )


def check_update(request: adapter_admin_pb2.UpdateAdapterRequest) -> OptionsChange:
    """Check an UpdateAdapter request (https://google.aip.dev/134)."""
    adapter, paths = request.adapter, list(request.update_mask.paths)
    if paths == ["*"]:
        paths = list(_NEW_VALUES)
    if not paths:
        paths = [path for path in _NEW_VALUES if _is_set(adapter, path)]
    unknown = [path for path in paths if path not in _NEW_VALUES]
    if unknown or not paths:
        text = f"{unknown[0][:64]!r} can't be changed" if unknown else "names nothing to change"
        raise InvalidRequestError(("update_mask", f"{text}; allowed are {', '.join(_NEW_VALUES)}, or * alone"))
    return OptionsChange(dict(_NEW_VALUES[path](adapter) for path in paths))


def check_alias(request: adapter_admin_pb2.SetAliasRequest) -> Alias:
    """Check a SetAlias request."""
    targets = tuple(AliasTarget(target.adapter, target.weight or 1) for target in request.alias.targets)
    return Alias(request.alias.name, targets)


def check_drain_timeout(
    request: adapter_admin_pb2.UnloadAdapterRequest | adapter_admin_pb2.DeleteAdapterRequest,
) -> float:
    """Seconds to wait for requests in flight."""
    return _seconds(request.drain_timeout) if request.HasField("drain_timeout") else DEFAULT_DRAIN_SECONDS


def check_page(
    request: adapter_admin_pb2.ListAdaptersRequest | adapter_admin_pb2.ListAliasesRequest, selection: str = ""
) -> PageRequest:
    """Which page of a listing is wanted."""
    return PageRequest(request.page_size, request.page_token, selection)


def check_listing(request: adapter_admin_pb2.ListAdaptersRequest) -> tuple[PageRequest, filters.Predicate]:
    """Check a ListAdapters request; returns which page is wanted, of which adapters."""
    state, fits = check_state(request.state), filters.parse(request.filter)
    selection = f"{state.value if state else ''}:{request.filter}"
    return check_page(request, selection), lambda record: state in (None, record.state) and fits(record)


def check_state(number: adapter_admin_pb2.AdapterState.ValueType) -> AdapterState | None:
    """The state to filter by; None: any."""
    if number == adapter_admin_pb2.ADAPTER_STATE_UNSPECIFIED:
        return None
    if number not in _STATE_OF_NUMBER:
        raise InvalidRequestError(("state", f"{number} isn't a value of this enum that the server knows"))
    return _STATE_OF_NUMBER[number]


def _is_set(adapter: adapter_admin_pb2.Adapter, path: str) -> bool:
    return any(field.name == path for field, _ in adapter.ListFields())


_NEW_VALUES: Mapping[str, Callable[[adapter_admin_pb2.Adapter], tuple[str, Any]]] = {
    "weight": lambda adapter: ("weight", adapter.weight or 1.0),
    "max_wait": lambda adapter: (
        "max_wait_seconds",
        _seconds(adapter.max_wait) if adapter.HasField("max_wait") else None,
    ),
    "pinned": lambda adapter: ("pinned", adapter.pinned),
    "metadata": lambda adapter: ("metadata", dict(adapter.metadata)),
}
"""What UpdateAdapter may change: by path, the field of `ServingOptions` and its new value."""


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
