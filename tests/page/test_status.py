"""The picture of the server as JSON: bounded, the busiest first, and nothing that isn't for whoever may look."""

import json
from typing import Any

from aiohttp import ClientSession
from aiohttp.test_utils import make_mocked_request

from adaptermux_server.page.status import MAX_ADAPTERS, StatusHandler, StatusSources, status
from adaptermux_server.types import AdapterState, QueueDepth
from tests.page.builders import MODEL, Facts, adapter, page, picture


async def test_an_adapter_is_told_with_its_state_and_load() -> None:
    told = status(
        MODEL,
        picture([QueueDepth(7, 3, 0.5), QueueDepth(8, 2, 0.75), QueueDepth(0, 4, 0.1)], {7: "a", 8: "a"}),
        [adapter("a", num_rows_answered=5, num_in_flight=2, metadata={"team": "x"})],
    )

    assert [
        {
            "id": "a",
            "revision": "abababab",
            "state": "READY",
            "tier": "DEVICE",
            "pinned": False,
            "metadata": {"team": "x"},
            "num_rows_answered": 5,
            "num_in_flight": 2,
            # Of both its revisions.
            "num_queued": 5,
            "oldest_wait_seconds": 0.75,
            "task": "sequence classification",
            "peft_type": "LORA",
            "rank": 4,
            "size_bytes": 2048,
            "executor": "bank",
        }
    ] == told["adapters"]
    assert (4, 9) == (told["base_queued"], told["num_rows_queued"])


async def test_of_many_adapters_the_busiest_come() -> None:
    adapters = [adapter(f"a{i}", num_rows_answered=i) for i in range(MAX_ADAPTERS + 50)]
    adapters += [adapter("flying", num_in_flight=1), adapter("queued", num_rows_answered=1)]

    told = status(MODEL, picture([QueueDepth(1, 9, 1.0)], {1: "queued"}), adapters)

    ids = [each["id"] for each in told["adapters"]]
    assert ["queued", "flying", f"a{MAX_ADAPTERS + 49}"] == ids[:3]
    assert MAX_ADAPTERS == len(ids)
    assert len(adapters) == told["num_adapters"]


async def test_metadata_are_bounded() -> None:
    told = status(MODEL, picture(), [adapter("a", metadata={f"k{i:03}": "v" for i in range(100)})])

    assert [f"k{i:03}" for i in range(8)] == list(told["adapters"][0]["metadata"])


async def test_neither_places_nor_errors_are_told() -> None:
    failed = adapter("a", state=AdapterState.FAILED, error=RuntimeError("secret-cause"))

    text = json.dumps(status(MODEL, picture(), [failed, adapter("b", spec=None, tier=None)]))

    assert "secret" not in text


async def test_the_server_is_looked_at_once_however_many_ask() -> None:
    num_read, clock = 0, [0.0]

    def read() -> Any:
        nonlocal num_read
        num_read += 1
        return picture()

    handler = StatusHandler(StatusSources(MODEL, read, list), lambda: clock[0])
    for now in (0.0, 0.1, 0.5, 1.0, 1.5):
        clock[0] = now
        await handler.handle(make_mocked_request("GET", "/api/status"))

    assert 2 == num_read


async def test_it_is_json_whatever_ids_are() -> None:
    facts = Facts([adapter("</script><b>ü")])
    async with page(facts) as url, ClientSession() as session, session.get(f"{url}/api/status") as response:
        told = await response.json()

    assert "</script><b>ü" == told["adapters"][0]["id"]
    assert "a-base" == told["model"]["id"]
