"""A class for each status that callers branch on: for failures without a reason, and above those with one."""

from adaptermux_client.errors.base import AdapterMuxClientError


class InvalidArgumentError(AdapterMuxClientError):
    """INVALID_ARGUMENT: the same request fails again; correct it."""


class NotFoundError(AdapterMuxClientError):
    """NOT_FOUND."""


class UnauthenticatedError(AdapterMuxClientError):
    """UNAUTHENTICATED: there is no token, or it isn't known, has expired or was taken back."""


class PermissionDeniedError(AdapterMuxClientError):
    """PERMISSION_DENIED: the token doesn't allow this; metadata "role", "adapter" (empty where the role is missing)."""


class FailedPreconditionError(AdapterMuxClientError):
    """FAILED_PRECONDITION: something else must change before the request can work."""


class ResourceExhaustedError(AdapterMuxClientError):
    """RESOURCE_EXHAUSTED: also a message over a size limit."""


class DeadlineExceededError(AdapterMuxClientError):
    """DEADLINE_EXCEEDED: the timeout passed. With a `reason` it did so in the queue, and no forward was spent."""


class AbortedError(AdapterMuxClientError):
    """ABORTED: something else won; look again, then decide."""


class DataLossError(AdapterMuxClientError):
    """DATA_LOSS: what arrived isn't what was sent."""


class UnavailableError(AdapterMuxClientError):
    """UNAVAILABLE: nobody answers at the address, or the connection was lost."""


class CallCancelledError(AdapterMuxClientError):
    """CANCELLED by the other side."""


class InternalError(AdapterMuxClientError):
    """INTERNAL: a bug or a fault of the machine; metadata "incident" if the server itself noticed."""
