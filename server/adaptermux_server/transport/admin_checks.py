"""Messages of the control plane to checked values; what isn't about the message itself is checked by the lifecycle."""

from google.protobuf import duration_pb2

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.lifecycle import DEFAULT_DRAIN_SECONDS
from adaptermux_server.adapters.options import LoadOptions
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
        labels=tuple(request.labels),
        problem_type=PROBLEM_TYPES[request.problem_type],
        weight=request.weight or 1.0,
        max_wait_seconds=_seconds(request.max_wait) if request.HasField("max_wait") else None,
        validate_only=request.validate_only,
        return_immediately=request.return_immediately,
    )


def check_drain_timeout(request: adapter_admin_pb2.UnloadAdapterRequest) -> float:
    """Seconds to wait for requests in flight."""
    return _seconds(request.drain_timeout) if request.HasField("drain_timeout") else DEFAULT_DRAIN_SECONDS


def check_state(number: adapter_admin_pb2.AdapterState.ValueType) -> AdapterState | None:
    """The state to filter by; None: any."""
    if number == adapter_admin_pb2.ADAPTER_STATE_UNSPECIFIED:
        return None
    if number not in _STATE_OF_NUMBER:
        raise InvalidRequestError(("state", f"{number} isn't a value of this enum that the server knows"))
    return _STATE_OF_NUMBER[number]


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
