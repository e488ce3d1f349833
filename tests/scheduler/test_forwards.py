"""A batch is computed forward by forward."""

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.types import RowCounts
from tests.scheduler.engine import FakeEngine, answer, make_row


async def test_rows_are_answered_as_soon_as_their_forward_is_done(scheduler: Scheduler, engine: FakeEngine) -> None:
    """That of the row whose turn it is comes first, long or not; each row says what its own forward cost."""
    seconds = {3: 0.002, 400: 0.018}
    for lengths in ((3, 400), (400, 3)):
        first, second = (make_row(num_tokens=num_tokens) for num_tokens in lengths)
        scheduler.submit([first, second])

        assert (first,) == (await engine.next_plan()).rows
        engine.finish(seconds[first.num_tokens])
        await answer(first.future)
        assert not second.future.done()
        assert (second,) == (await engine.next_plan()).rows
        engine.finish(seconds[second.num_tokens])

        for row in (first, second):
            assert seconds[row.num_tokens] == (await answer(row.future)).batch.compute_seconds


async def test_rows_cancelled_between_forwards_are_not_computed(scheduler: Scheduler, engine: FakeEngine) -> None:
    """Though they are out of the queue."""
    first, gone, last = (make_row(num_tokens=num_tokens) for num_tokens in (3, 400, 3))
    scheduler.submit([first, gone])
    await engine.next_plan()
    scheduler.submit([last])

    gone.future.cancel()
    engine.finish()

    assert (last,) == (await engine.next_plan()).rows
    assert RowCounts(accepted=3, answered=1, cancelled=1) == scheduler.status().rows
