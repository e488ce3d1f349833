"""What a fake was asked, and what it shall do next."""

import threading

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status

Context = grpc.ServicerContext


class Script:
    """What the fake was asked, and what it shall do next."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.time_remaining: list[float | None] = []
        self.failures: list[status_pb2.Status] = []
        """The next calls fail with these, one each."""
        self.hold: threading.Event | None = None
        """If set, calls wait for it."""
        self.arrived = threading.Event()
        self.gone = threading.Event()
        """Set when a held call ends before it was let go."""

    def enter(self, request: Message, context: Context) -> None:
        """Remember a call; then wait or fail if told to."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.time_remaining.append(context.time_remaining())
        if self.hold is not None:
            context.add_callback(self.gone.set)
            self.arrived.set()
            self.hold.wait(30)
        if self.failures:
            context.abort_with_status(rpc_status.to_status(self.failures.pop(0)))
