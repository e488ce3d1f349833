"""Every failure that a caller may see, as a class with its data; `transport.status` gives each its gRPC status.

AdapterMuxError
├── requests
│   ├── InvalidRequestError          ├── QueueFullError
│   ├── InputTooLongError            ├── DeadlineExceededError
│   ├── AdapterNotFoundError         ├── AdapterUnloadedError
│   ├── AdapterNotReadyError         ├── ShuttingDownError
│   └── AdapterRequiredError         └── TaskMismatchError
├── adapters
│   ├── SourceInvalidError           ├── ConcurrentChangeError
│   ├── SourceForbiddenError         ├── DrainTimeoutError
│   ├── SourceUnavailableError       ├── MemoryFullError
│   ├── ConfigUnsupportedError       ├── AliasNotFoundError
│   ├── BaseMismatchError            └── AliasedError
│   ├── CheckpointMismatchError
│   └── HeadIncompleteError
├── store
│   ├── RevisionNotFoundError        ├── StoreUnavailableError
│   ├── DigestMismatchError          ├── UploadStalledError
│   └── StoreFullError               └── UploadsFullError
└── security
    └── UnauthenticatedError         └── PermissionDeniedError

The message of each is written for the caller: what was wrong, what is allowed, what to do. Anything that isn't an
AdapterMuxError is a bug: its text stays in the log.
"""

from adaptermux_server.errors.adapters import (
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
from adaptermux_server.errors.base import AdapterMuxError
from adaptermux_server.errors.requests import (
    AdapterNotFoundError,
    AdapterNotReadyError,
    AdapterRequiredError,
    AdapterUnloadedError,
    DeadlineExceededError,
    InputTooLongError,
    InvalidRequestError,
    QueueFullError,
    ShuttingDownError,
    TaskMismatchError,
)
from adaptermux_server.errors.security import PermissionDeniedError, UnauthenticatedError
from adaptermux_server.errors.store import (
    DigestMismatchError,
    RevisionNotFoundError,
    StoreFullError,
    StoreUnavailableError,
    UploadsFullError,
    UploadStalledError,
)

__all__ = [
    "AdapterMuxError",
    "AdapterNotFoundError",
    "AdapterNotReadyError",
    "AdapterRequiredError",
    "AdapterUnloadedError",
    "AliasNotFoundError",
    "AliasedError",
    "BaseMismatchError",
    "CheckpointMismatchError",
    "ConcurrentChangeError",
    "ConfigUnsupportedError",
    "DeadlineExceededError",
    "DigestMismatchError",
    "DrainTimeoutError",
    "HeadIncompleteError",
    "InputTooLongError",
    "InvalidRequestError",
    "MemoryFullError",
    "PermissionDeniedError",
    "QueueFullError",
    "RevisionNotFoundError",
    "ShuttingDownError",
    "SourceForbiddenError",
    "SourceInvalidError",
    "SourceUnavailableError",
    "StoreFullError",
    "StoreUnavailableError",
    "TaskMismatchError",
    "UnauthenticatedError",
    "UploadStalledError",
    "UploadsFullError",
]
