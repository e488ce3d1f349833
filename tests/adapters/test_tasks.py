"""Changes as tasks: they outlive their callers, tell of their end, and keep nothing of what failed alive."""

import asyncio
import gc
import weakref

import pytest

from adaptermux_server.adapters.tasks import Tasks
from adaptermux_server.errors import ShuttingDownError


class Tensors:
    """Something large."""


async def test_a_change_goes_on_without_its_caller() -> None:
    tasks, done, go_on = Tasks(), asyncio.Event(), asyncio.Event()

    async def change() -> None:
        await go_on.wait()
        done.set()

    caller = asyncio.create_task(tasks.run(change()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    await tasks.wait()

    assert done.is_set()


@pytest.mark.parametrize("begun", [True, False])
async def test_closing_ends_changes_that_have_begun_their_first_step_and_their_callers_are_told(begun: bool) -> None:
    tasks, cleaned = Tasks(), []

    async def change() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    caller = asyncio.create_task(tasks.run(change()))
    for _ in range(2 if begun else 1):
        await asyncio.sleep(0)
    await tasks.close()

    with pytest.raises(ShuttingDownError):
        await caller
    assert ["up"] == cleaned
    with pytest.raises(ShuttingDownError):
        tasks.check_open()


async def test_closing_ends_what_others_begin_at_their_end_too() -> None:
    tasks = Tasks()

    async def change() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.spawn(asyncio.Event().wait())

    tasks.spawn(change())
    async with asyncio.timeout(5):
        await tasks.close()
        await tasks.wait()


async def test_the_error_of_a_change_keeps_no_local_alive() -> None:
    tasks, kept = Tasks(), []

    async def change() -> None:
        tensors = Tensors()
        kept.append(weakref.ref(tensors))
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug") as caught:
        await tasks.run(change())
    gc.collect()

    assert kept[0]() is None
    assert caught.value.__traceback__ is not None


async def test_others_who_get_the_same_error_go_on_at_their_own_pace() -> None:
    """As requests do that waited for the same arrival in the engine: they still answer when the change has ended."""
    tasks: Tasks = Tasks()
    arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answered = []

    async def change() -> None:
        await asyncio.gather(asyncio.shield(arrival))

    async def request() -> None:
        try:
            await asyncio.gather(asyncio.shield(arrival))
        except ValueError:
            await asyncio.sleep(0.01)
            answered.append("it")

    first = tasks.spawn(change())
    second = asyncio.create_task(request())
    await asyncio.sleep(0)
    arrival.set_exception(ValueError("damaged"))
    await asyncio.wait([first, second])

    assert isinstance(first.exception(), ValueError)
    await second
    assert ["it"] == answered
