"""Contract row 23: more adapters than the engine has room for."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client.errors import from_rpc_error
from tests.e2e.asking import analyze_request, ask, assert_analyzed
from tests.e2e.harness import Harness, served
from tests.e2e.zoo import Zoo

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NUM_PLACES = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded(zoo: Zoo) -> AsyncIterator[Harness]:
    """A server with all adapters of the zoo and room for two."""
    adapters = {name: str(each.folder) for name, each in zoo.residents.items()}
    async with served(
        model=str(zoo.base), adapters=adapters, num_threads=1, max_device_adapters=_NUM_PLACES
    ) as running:
        yield running


async def _tiers(harness: Harness) -> dict[str, int]:
    response = await harness.admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest())
    return {adapter.id: adapter.tier for adapter in response.adapters}


async def _pin(harness: Harness, adapter_id: str, pinned: bool = True) -> None:
    adapter = adapter_admin_pb2.Adapter(id=adapter_id, pinned=pinned)
    request = adapter_admin_pb2.UpdateAdapterRequest(adapter=adapter)
    request.update_mask.paths.append("pinned")
    await harness.admin.UpdateAdapter(request)


async def test_row_23_adapters_take_turns_in_the_engine_and_each_answers_as_it_does_alone(
    crowded: Harness, zoo: Zoo
) -> None:
    async def ask_all(first: int) -> None:
        names = list(zoo.residents)
        for name in names[first:] + names[:first]:
            expected = zoo.residents[name]
            _, results = await ask(crowded, name, expected.task, [0, 1])
            for index, result in enumerate(results):
                expected.assert_answered(index, result)

    await asyncio.gather(*map(ask_all, range(len(zoo.residents))))

    tiers = list((await _tiers(crowded)).values())
    assert _NUM_PLACES == tiers.count(adapter_admin_pb2.TIER_DEVICE)
    status = await crowded.admin.GetServerStatus(adapter_admin_pb2.GetServerStatusRequest())
    assert status.tier_counts.evictions >= len(zoo.residents) - _NUM_PLACES
    assert {"READY": len(zoo.residents)} == dict(status.adapters_by_state)


async def test_row_23_what_was_used_last_stays(crowded: Harness, zoo: Zoo) -> None:
    asked = [(name, each) for name, each in zoo.residents.items() if name != "qa"][:3]
    for name, expected in asked:
        await ask(crowded, name, expected.task, [0])

    tiers = await _tiers(crowded)
    here = {name for name, tier in tiers.items() if tier == adapter_admin_pb2.TIER_DEVICE}
    assert {name for name, _ in asked[1:]} == here


async def test_row_23_a_call_for_more_adapters_than_fit_is_refused_and_says_so(crowded: Harness, zoo: Zoo) -> None:
    asked = [(name, each) for name, each in zoo.residents.items() if name != "qa"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await crowded.infer.Analyze(analyze_request(asked[: _NUM_PLACES + 1], [0]))

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_FULL") == _refusal(caught.value)
    pair = asked[:_NUM_PLACES]
    assert_analyzed(await crowded.infer.Analyze(analyze_request(pair, [0])), pair, [0])


async def test_row_23_where_all_places_are_pinned_others_are_refused_and_the_pinned_serve(
    crowded: Harness, zoo: Zoo
) -> None:
    (first, _), (second, _), (third, expected) = list(zoo.residents.items())[:3]
    await _pin(crowded, first)
    await _pin(crowded, second)
    before = await _tiers(crowded)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(crowded, third, expected.task, [0])
    refused = _refusal(caught.value)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _pin(crowded, third)
    also_refused = _refusal(caught.value)
    await ask(crowded, first, zoo.residents[first].task, [0])
    after = await _tiers(crowded)
    await _pin(crowded, first, pinned=False)
    _, results = await ask(crowded, third, expected.task, [0])

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "MEMORY_FULL") == refused == also_refused
    assert before == after
    expected.assert_answered(0, results[0])


def _refusal(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str]:
    return error.code(), from_rpc_error(error).reason
