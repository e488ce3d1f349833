"""The Python client and the bare stubs give what the table says, against a server in a process of its own."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from adaptermux_client import AsyncAdapterMuxClient, AsyncAdminClient
from tests.conformance.client import ClientRunner
from tests.conformance.matching import differences
from tests.conformance.stubs import StubRunner
from tests.conformance.table import running

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running(tmp_path_factory.mktemp("conformance")) as path:
        yield json.loads(path.read_text())


def test_stubs_give_what_the_table_says(table: dict[str, Any]) -> None:
    with StubRunner(table["dataAddress"], table["adminAddress"]) as runner:
        found = [_differences(table, case, runner.perform(case)) for case in table["cases"]]

    assert [] == list(chain(*found))


async def test_client_gives_what_the_table_says(table: dict[str, Any]) -> None:
    async with AsyncAdapterMuxClient(table["dataAddress"]) as data, AsyncAdminClient(table["adminAddress"]) as admin:
        runner = ClientRunner(data, admin)
        cases = [case for case in table["cases"] if not case.get("bare")]
        found = [_differences(table, case, await runner.perform(case)) for case in cases]

    assert [] == list(chain(*found))


def _differences(table: dict[str, Any], case: dict[str, Any], outcome: dict[str, Any]) -> list[str]:
    return list(differences(case["expect"], outcome, table["tolerance"], case["name"]))
