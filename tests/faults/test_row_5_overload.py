"""Three times as much as the server holds, again and again: some are answered right, the rest told when to retry."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.expected import TEXTS
from tests.faults.pressed import BATCH_ROWS, FORWARD, pressed
from tests.faults.server_forks import Forks

_QUEUED_ROWS = 16
_NUM_CALLS = 3 * (_QUEUED_ROWS + BATCH_ROWS)
_NUM_ROUNDS = 4
_SHORT_SECONDS = 3 * FORWARD
"""Less than what waits before the last that is accepted."""


@pytest.mark.parametrize(
    ("seconds", "refusals"),
    [(30.0, {"QUEUE_FULL"}), (_SHORT_SECONDS, {"QUEUE_FULL", "DEADLINE_EXCEEDED"})],
    ids=["callers that wait", "callers in a hurry"],
)
async def test_what_exceeds_the_capacity_is_refused_and_the_rest_answered(
    forks: Forks, folders: tuple[Path, Path], tmp_path: Path, seconds: float, refusals: set[str]
) -> None:
    limits = ["--max-queued-rows", str(_QUEUED_ROWS), "--max-queued-rows-per-adapter", str(_QUEUED_ROWS)]
    async with pressed(forks, folders, tmp_path / "log", *limits) as server:
        assert "OK" == await server.classify()  # connects
        outcomes: Counter[str] = Counter()
        for _ in range(_NUM_ROUNDS):
            calls = (server.classify(each % len(TEXTS), seconds) for each in range(_NUM_CALLS))
            outcomes.update(await asyncio.gather(*calls))

        assert _NUM_ROUNDS * _NUM_CALLS == outcomes.total()
        assert {"OK", "QUEUE_FULL"} <= outcomes.keys() <= {"OK", *refusals}
        assert ["OK"] * 2 == [await server.classify(), await server.tag()]
        assert 0 == await server.num_queued()
