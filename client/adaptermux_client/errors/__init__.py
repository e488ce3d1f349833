"""Every failure of a call as one tree: a class for each status that callers branch on, one beneath it for each reason.

AdapterMuxClientError
├── InvalidArgumentError           correct the request
│   ├── InvalidRequestError          `violations` names the fields
│   ├── InputTooLongError            shorten the input or set `truncate`
│   ├── SourceInvalidError           an adapter's files can't be read
│   └── ConfigUnsupportedError       an adapter's configuration isn't supported exactly
├── NotFoundError
│   ├── AdapterNotFoundError         metadata "similar" has ids of near spelling
│   ├── AliasNotFoundError           no alias has this name
│   └── RevisionNotFoundError        the server's store has no such content
├── UnauthenticatedError           the server wants a token, or another one
├── PermissionDeniedError          the token doesn't allow this call or adapter
│   └── SourceForbiddenError         an adapter's source isn't one that the operator allowed
├── FailedPreconditionError
│   ├── AdapterNotReadyError         LOADING: retry after `retry_after_seconds`
│   ├── AdapterRequiredError         the RPC needs an adapter
│   ├── TaskMismatchError            metadata "rpc" names the RPC that fits
│   ├── BaseMismatchError            the adapter was trained on another base
│   ├── CheckpointMismatchError      the weights don't fit their own configuration
│   ├── HeadIncompleteError          part of the head isn't in the checkpoint
│   ├── AliasedError                 an alias points at the adapter
│   └── StoreUnavailableError        the server's store can't be written
├── ResourceExhaustedError
│   ├── QueueFullError               back off for `retry_after_seconds`
│   ├── UploadsFullError             the server takes no more uploads at once: retry after `retry_after_seconds`
│   ├── MemoryFullError              the adapter doesn't fit the engine beside those pinned or in use
│   └── StoreFullError               the disk of the server's store is full
├── DeadlineExceededError          the call's timeout passed, in the server's queue or on the way
│   └── DrainTimeoutError            an unload's drain didn't end in time
├── AbortedError
│   ├── AdapterUnloadedError         the adapter was unloaded with force while the request waited
│   ├── ConcurrentChangeError        another load or unload of the same id is under way
│   └── UploadStalledError           no message of the upload came for too long
├── DataLossError
│   └── DigestMismatchError          an upload's bytes aren't those that were announced
├── UnavailableError               no connection, or the server went away
│   ├── SourceUnavailableError       an adapter's source can't be reached now
│   └── ShuttingDownError            the server said that it is stopping
├── CallCancelledError             cancelled by the other side; asyncio's own cancellation stays `CancelledError`
└── InternalError                  a bug of the server; metadata "incident" is in its log

The base class itself stands for any other status, for example UNIMPLEMENTED.
"""

from adaptermux_client.errors.adapters import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AliasedError,
    AliasNotFoundError,
    BaseMismatchError,
    CheckpointMismatchError,
    ConcurrentChangeError,
    ConfigUnsupportedError,
    DrainTimeoutError,
    HeadIncompleteError,
    MemoryFullError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceUnavailableError,
)
from adaptermux_client.errors.base import AdapterMuxClientError
from adaptermux_client.errors.made import BY_CODE, BY_REASON, from_rpc_error, from_status
from adaptermux_client.errors.requests import (
    AdapterRequiredError,
    AdapterUnloadedError,
    InputTooLongError,
    InvalidRequestError,
    QueueFullError,
    ShuttingDownError,
    TaskMismatchError,
)
from adaptermux_client.errors.statuses import (
    AbortedError,
    CallCancelledError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from adaptermux_client.errors.store import (
    DigestMismatchError,
    RevisionNotFoundError,
    StoreFullError,
    StoreUnavailableError,
    UploadsFullError,
    UploadStalledError,
)

__all__ = [
    "BY_CODE",
    "BY_REASON",
    "AbortedError",
    "AdapterMuxClientError",
    "AdapterNotFoundError",
    "AdapterNotReadyError",
    "AdapterRequiredError",
    "AdapterUnloadedError",
    "AliasNotFoundError",
    "AliasedError",
    "BaseMismatchError",
    "CallCancelledError",
    "CheckpointMismatchError",
    "ConcurrentChangeError",
    "ConfigUnsupportedError",
    "DataLossError",
    "DeadlineExceededError",
    "DigestMismatchError",
    "DrainTimeoutError",
    "FailedPreconditionError",
    "HeadIncompleteError",
    "InputTooLongError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidRequestError",
    "MemoryFullError",
    "NotFoundError",
    "PermissionDeniedError",
    "QueueFullError",
    "ResourceExhaustedError",
    "RevisionNotFoundError",
    "ShuttingDownError",
    "SourceForbiddenError",
    "SourceInvalidError",
    "SourceUnavailableError",
    "StoreFullError",
    "StoreUnavailableError",
    "TaskMismatchError",
    "UnauthenticatedError",
    "UnavailableError",
    "UploadStalledError",
    "UploadsFullError",
    "from_rpc_error",
    "from_status",
]
