"""Bad inputs, row by row of the table: each gets what it was promised, and the server stays as it was.

The server is a process of its own, but for cases that hold, watch or break its inner parts.
"""

from fnmatch import fnmatchcase

import pytest

from tests.contract import changes, checkpoints, durable, guarded, memory, odd_texts, queueing, requests, wire
from tests.contract.table import TABLE, Absent
from tests.contract.world import Case, World

_PARTS = (requests, changes, odd_texts, wire, queueing, checkpoints, durable, memory, guarded)
CASES = sorted((case for part in _PARTS for case in part.CASES), key=lambda case: case.row)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("cleaned")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row:02}-{case.name}")
async def test_a_bad_input_gets_its_answer_and_changes_nothing(inside: World, process: World, case: Case) -> None:
    world = inside if case.inside else process
    before = await world.listed()

    await case.scenario(world)

    assert before == await world.listed()
    await world.assert_answers()


@pytest.mark.parametrize("row", range(1, 26))
def test_every_cell_of_the_table_has_its_cases(row: int) -> None:
    names = [case.name for case in CASES if case.row == row]
    cells = TABLE[row]

    assert names
    for cell, patterns in cells.items():
        for pattern in () if isinstance(patterns, Absent) else patterns:
            assert any(fnmatchcase(name, pattern) for name in names), (cell, pattern)
        assert patterns


def test_no_two_cases_of_a_row_share_a_name() -> None:
    assert len(CASES) == len({(case.row, case.name) for case in CASES})
