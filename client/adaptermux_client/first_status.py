"""The status that ended an asyncio call which sends a stream, in spite of gRPC."""

from typing import Any

import grpc

from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error


class FirstStatus:
    """The status that ended an asyncio call, as it was when it came.

    When a message that is under way fails because the call has ended, grpc.aio overwrites the call's status by INTERNAL
    "Internal error from Core" (seen with 1.71 to 1.85), so that the server's own is lost.
    """

    def __init__(self, call: Any) -> None:
        self._errors: list[grpc.aio.AioRpcError] = []
        call.add_done_callback(self._remember)

    def error(self, raised: grpc.RpcError) -> AdapterMuxClientError:
        """The error by the server's status where there is one, else by what the call has raised."""
        told = [*self._errors, raised]
        return from_rpc_error(next((each for each in told if not _is_overwritten(each)), raised))

    def _remember(self, call: Any) -> None:
        status = grpc.aio.AioRpcError(
            _result(call.code()), grpc.aio.Metadata(), _result(call.trailing_metadata()), _result(call.details())
        )
        self._errors.append(status)


def _is_overwritten(error: Any) -> bool:
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == "Internal error from Core"


def _result(coroutine: Any) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError("a call that is done tells its status at once")
