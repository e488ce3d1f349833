"""Bad inputs, row by row of the table: each gets what it was promised, and the server stays as it was.

Left out, since nothing serves them yet: tokens and certificates (row 24), and generation (its limits in row 6). Uploads
that break off (row 12) and memory budgets (row 23) have tests of their own, in `adapters` and `e2e`.
"""

import pytest

from tests.contract import changes, checkpoints, durable, odd_texts, queueing, requests, wire
from tests.contract.world import Case, World

pytestmark = pytest.mark.asyncio(loop_scope="session")

_PARTS = (requests, changes, odd_texts, wire, queueing, checkpoints, durable)
CASES = sorted((case for part in _PARTS for case in part.CASES), key=lambda case: case.row)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row:02}-{case.name}")
async def test_a_bad_input_gets_its_answer_and_changes_nothing(the_world: World, case: Case) -> None:
    before = await the_world.listed()

    await case.scenario(the_world)

    assert before == await the_world.listed()
    await the_world.assert_answers()
