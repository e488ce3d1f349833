"""What the server tells from now on, as streams of messages: changes of adapters, and forwards."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.aliases import Alias
from adaptermux_server.adapters.feed import ChangeFeed
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import ShuttingDownError
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.transport import admin_convert


async def watch_adapters(
    feed: ChangeFeed[AdapterRecord | Alias], resume_token: str
) -> AsyncGenerator[adapter_admin_pb2.WatchAdaptersResponse, None]:
    """Yield every event. A caller that doesn't read is held up by flow control, and costs a place in the log."""
    async with aclosing(feed.watch(resume_token)) as events:
        async for event in events:
            yield admin_convert.event(event)
    # The feed ends with the server: whoever watches should come back, to another replica or after the restart.
    raise ShuttingDownError


async def watch_batches(scheduler: Scheduler) -> AsyncGenerator[adapter_admin_pb2.WatchBatchesResponse, None]:
    """Yield forwards as they end; flow control as above."""
    async with aclosing(scheduler.recorder.watch()) as watched:
        async for recorded in watched:
            # Records are on the monotonic clock; what is added to it moves when the machine's clock is set.
            epoch = time.time() - time.monotonic()
            yield adapter_admin_pb2.WatchBatchesResponse(
                batches=[admin_convert.batch(each, epoch) for each in recorded.batches],
                num_missed=recorded.num_missed,
                num_rows_queued=scheduler.status().num_rows_queued,
            )
    raise ShuttingDownError
