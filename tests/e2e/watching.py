"""WatchAdapters, read event by event, in short words."""

from typing import Any

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2 as admin_pb2
from tests.faults.durable_world import Operator

_PATIENCE_SECONDS = 20.0


class Watch:
    """A stream of WatchAdapters that a test reads as far as it knows that something came."""

    def __init__(self, operator: Operator, token: str = "") -> None:
        request = admin_pb2.WatchAdaptersRequest(resume_token=token)
        self._stream: Any = operator.admin.WatchAdapters(request, timeout=_PATIENCE_SECONDS)
        self.token = token

    def take(self, count: int) -> list[tuple[str, ...]]:
        return [self._short(next(self._stream)) for _ in range(count)]

    def status(self) -> grpc.StatusCode:
        """How the stream ends, whatever comes before."""
        with pytest.raises(grpc.RpcError) as caught:
            list(self._stream)
        code: grpc.StatusCode = caught.value.code()
        return code

    def cancel(self) -> None:
        self._stream.cancel()

    def _short(self, event: Any) -> tuple[str, ...]:
        self.token = event.resume_token or self.token
        kind = event.WhichOneof("event")
        match kind:
            case "adapter":
                state = admin_pb2.AdapterState.Name(event.adapter.state).removeprefix("ADAPTER_STATE_")
                return (event.adapter.id, state, event.adapter.revision[:8])
            case "alias":
                return (event.alias.name, *(target.adapter for target in event.alias.targets))
            case "removed_adapter_id" | "removed_alias_name":
                return (getattr(event, kind), "removed")
        return (kind,)
