"""Rows that share a batch with one that breaks the forward are answered as plain PEFT answers them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.types import BASE_SLOT, ExecutorKind, Pooling, Row, Task
from tests.fidelity.zoo import Zoo, assert_close
from tests.support.models import Columns, make_adapter

TASKS = (Task.TOKEN_CLASSIFICATION, Task.SEQUENCE_CLASSIFICATION, Task.QUESTION_ANSWERING)
UNKNOWN_ID = 10**9


@pytest.mark.parametrize("guilty", [1, BASE_SLOT])
async def test_innocent_rows_of_a_broken_batch_are_answered(
    guilty: int, open_zoo: Callable[[str], Zoo], tmp_path: Path
) -> None:
    """An id that no vocabulary has meets the embedding, in the midst of other adapters' rows and the base's."""
    zoo = open_zoo("bert")
    for number, task in enumerate(TASKS):
        folder = make_adapter(zoo.base, tmp_path / str(number), task, num_labels=2, seed=number)
        await zoo.admit(str(number), folder, task, num_labels=2)
    picks = [pick for pick in zoo.pick_all(np.random.default_rng(6), 24) if pick.slot != guilty]
    bad = _row(guilty, {"input_ids": (0, UNKNOWN_ID, 2), "token_type_ids": (0, 0, 0)}, Pooling.MEAN)

    scheduler = Scheduler(zoo.engine.run, SchedulerSettings())
    for exhibit in zoo.exhibits.values():
        scheduler.configure_slot(exhibit.slot, label="", executor=ExecutorKind.BANK)
    rows = [_row(pick.slot, zoo.rows[pick.index], pick.pooling) for pick in picks]
    scheduler.submit([*rows[:10], bad, *rows[10:]])
    await scheduler.start()
    async with asyncio.timeout(60):
        await asyncio.wait([row.future for row in (*rows, bad)])
    await scheduler.close()

    assert isinstance(bad.future.exception(), IndexError)
    for row, pick in zip(rows, picks, strict=True):
        assert_close(pick.expected, row.future.result().values)
    assert {pick.slot for pick in picks} == {BASE_SLOT, 1, 2, 3} - {guilty}


def _row(slot: int, columns: Columns, pooling: Pooling | None) -> Row:
    return Row(slot, columns, pooling, asyncio.get_running_loop().create_future())
