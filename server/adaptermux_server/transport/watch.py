"""WatchAdapters: the feed of changes as a stream of messages, for as long as the caller reads it."""

import time
from collections.abc import AsyncIterator

import grpc

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.aliases import Alias
from adaptermux_server.adapters.feed import ChangeFeed
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport import admin_convert
from adaptermux_server.transport.border import Context, abort, observe
from adaptermux_server.transport.decoding import checked
from adaptermux_server.transport.status import status_of

_RPC = "WatchAdapters"


async def watch(
    feed: ChangeFeed[AdapterRecord | Alias],
    request: adapter_admin_pb2.WatchAdaptersRequest,
    context: Context,
    metrics: RpcMetrics,
) -> AsyncIterator[adapter_admin_pb2.WatchAdaptersResponse]:
    """Yield every event. A caller that doesn't read is held up by flow control, and costs a place in the log."""
    started, code = time.perf_counter(), grpc.StatusCode.CANCELLED
    try:
        async for event in feed.watch(checked(request).resume_token):
            yield admin_convert.event(event)
        # The feed ends with the server: whoever watches should come back, to another replica or after the restart.
        raise ShuttingDownError
    except Exception as error:
        status = status_of(error)
        code = next(found for found in grpc.StatusCode if found.value[0] == status.code)
        await abort(context, status)
    finally:
        observe(metrics, _RPC, code, started)
