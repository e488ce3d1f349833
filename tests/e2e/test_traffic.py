"""Every answer under mixed concurrent traffic is that of the one adapter alone, while others come, move and go."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from adaptermux_client.errors import from_rpc_error
from tests.e2e.asking import analyze_request, ask, assert_analyzed
from tests.e2e.expected import TEXTS, Expected
from tests.e2e.harness import Harness
from tests.e2e.zoo import Zoo

pytestmark = pytest.mark.asyncio(loop_scope="session")

_NUM_CALLERS = 6
_NUM_MOVES = 12
_NUM_STREAMED = 100
_NO_ANSWER_WHILE_AWAY = {"ADAPTER_NOT_FOUND", "ADAPTER_NOT_READY"}


class Traffic:
    """Callers with a chance of their own, and a count of who answered."""

    def __init__(self, harness: Harness, zoo: Zoo) -> None:
        self.answered: Counter[str] = Counter()
        self.revisions: dict[str, Expected] = {}
        """What each digest of the adapter that moves answers."""
        self.over = False
        self._harness, self._zoo = harness, zoo

    async def call_unary(self, chance: random.Random) -> None:
        """Ask residents, one adapter a call."""
        while not self.over:
            name, expected = chance.choice(list(self._zoo.residents.items()))
            await self._assert_answered(name, expected, chance)

    async def call_moving(self, chance: random.Random) -> None:
        """Ask the adapter whose revision changes: the answer is of the revision that it names."""
        indices = _some(chance, len(TEXTS))
        while not self.over:
            ref, results = await ask(self._harness, "moving", self._zoo.revisions[0].task, indices)
            for index, result in zip(indices, results, strict=True):
                self.revisions[ref.revision].assert_answered(index, result)
            self.answered[ref.revision] += 1

    async def call_guest(self, chance: random.Random) -> None:
        """Ask the adapter that is there at times: right answers or none."""
        while not self.over:
            try:
                await self._assert_answered("guest", self._zoo.guest, chance)
            except grpc.RpcError as error:
                reason = from_rpc_error(error).reason
                assert reason in _NO_ANSWER_WHILE_AWAY
                self.answered[reason] += 1

    async def call_analyze(self, chance: random.Random) -> None:
        """Ask several adapters and the base in one call."""
        while not self.over:
            asked, indices = self._several(chance), _some(chance, 3)
            assert_analyzed(await self._harness.infer.Analyze(analyze_request(asked, indices)), asked, indices)
            self.answered["Analyze"] += 1

    async def stream(self, chance: random.Random) -> None:
        """Ask the same on a stream, while its answers come in any order."""
        asked = {str(number): (self._several(chance), _some(chance, 3)) for number in range(_NUM_STREAMED)}

        async def requests() -> AsyncIterator[infer_pb2.StreamAnalyzeRequest]:
            for request_id, about in tuple(asked.items()):
                yield infer_pb2.StreamAnalyzeRequest(request_id=request_id, request=analyze_request(*about))

        async for response in self._harness.infer.StreamAnalyze(requests()):
            assert_analyzed(response.response, *asked.pop(response.request_id))
        assert not asked

    async def move(self) -> None:
        """Load one revision after the other under the same id."""
        for number in range(_NUM_MOVES):
            await self.load_revision(number)

    async def load_revision(self, number: int) -> None:
        """Load one of the revisions."""
        await self._load("moving", self._zoo.revisions[number % len(self._zoo.revisions)])

    async def learn_revisions(self) -> None:
        """Learn the digests before they serve: answers may come before the load's own response."""
        for expected in self._zoo.revisions:
            checked = await self._load("moving", expected, check=True)
            self.revisions[checked.revision] = expected

    async def come_and_go(self) -> None:
        """Load and unload the guest, in use."""
        for number in range(_NUM_MOVES):
            await self._load("guest", self._zoo.guest)
            await self._assert_answered("guest", self._zoo.guest, random.Random(number))
            await self._harness.admin.UnloadAdapter(adapter_admin_pb2.UnloadAdapterRequest(adapter_id="guest"))

    async def _load(self, adapter_id: str, expected: Expected, *, check: bool = False) -> adapter_admin_pb2.Adapter:
        request = adapter_admin_pb2.LoadAdapterRequest(
            adapter_id=adapter_id, uri=str(expected.folder), validate_only=check
        )
        return (await self._harness.admin.LoadAdapter(request)).adapter

    async def _assert_answered(self, name: str, expected: Expected, chance: random.Random) -> None:
        indices = _some(chance, len(expected.inputs))
        ref, results = await ask(self._harness, name, expected.task, indices)
        assert name == ref.id
        for index, result in zip(indices, results, strict=True):
            expected.assert_answered(index, result)
        self.answered[name] += 1

    def _several(self, chance: random.Random) -> list[tuple[str, Expected]]:
        able = [(name, each) for name, each in self._zoo.residents.items() if each.inputs == TEXTS]
        return chance.sample([*able, ("", self._zoo.base_alone)], chance.randint(1, 4))


def _some(chance: random.Random, most: int) -> list[int]:
    return [chance.randrange(most) for _ in range(chance.randint(1, most))]


async def test_answers_equal_plain_peft_while_adapters_come_move_and_go(harness: Harness, zoo: Zoo) -> None:
    """Ten adapters of four tasks and nine methods, one moving between revisions, one coming and going."""
    traffic = Traffic(harness, zoo)
    before = harness.scheduler.status()
    await traffic.learn_revisions()
    await traffic.load_revision(1)

    async with asyncio.TaskGroup() as group:
        kinds = (traffic.call_unary, traffic.call_moving, traffic.call_guest, traffic.call_analyze)
        callers = [*kinds, *[traffic.call_unary] * (_NUM_CALLERS - len(kinds))]
        for seed, caller in enumerate(callers):
            group.create_task(caller(random.Random(seed)))
        await asyncio.gather(traffic.move(), traffic.come_and_go(), traffic.stream(random.Random(99)))
        traffic.over = True
    await harness.admin.UnloadAdapter(adapter_admin_pb2.UnloadAdapterRequest(adapter_id="moving"))

    assert {*zoo.residents, *traffic.revisions, "guest", "Analyze"} <= set(traffic.answered)
    after = harness.scheduler.status()
    assert before.rows.failed == after.rows.failed
    # Rows of several calls shared forwards, and adapters were switched less often than rows came.
    assert after.num_batches - before.num_batches < after.num_batched_rows - before.num_batched_rows
    assert after.num_traversals - before.num_traversals < (
        after.num_traversals_in_arrival_order - before.num_traversals_in_arrival_order
    )


async def test_analyze_gives_every_adapter_s_answer_to_every_input_in_order(harness: Harness, zoo: Zoo) -> None:
    """All adapters that take texts, the base beside them, on all texts: as if each had been asked alone."""
    able = [(name, each) for name, each in zoo.residents.items() if each.inputs == TEXTS]
    asked, indices = [*able, ("", zoo.base_alone)], list(range(len(TEXTS)))

    response = await harness.infer.Analyze(analyze_request(asked, indices))

    assert_analyzed(response, asked, indices)
