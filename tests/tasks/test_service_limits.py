"""What is refused before it is tokenised, and what waits for the pool."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import DeadlineExceededError, QueueFullError
from adaptermux_server.scheduler.admission import Demand
from adaptermux_server.tasks.inputs import Input, TextInput
from adaptermux_server.tasks.options import EmbedOptions
from adaptermux_server.tasks.service import AnalyzeCall, Analyzed, InferenceService, TaskRequest
from adaptermux_server.tasks.text_room import TextRoom
from adaptermux_server.tasks.tokenizing import Encoded, Tokenizing
from adaptermux_server.types import BASE_SLOT, Deadline, Row
from tests.tasks.builders import make_tokenizing

LONG = TextInput("the cat " * 500)
"""4,000 characters: for the pool."""


class NoTiers:
    """Nothing has to be brought up for the base."""

    @asynccontextmanager
    async def holding(self, wanted: Sequence[object]) -> AsyncIterator[None]:
        """Hold nothing."""
        assert not wanted
        yield


@dataclass
class FakeQueue:
    """Refuses what it is told to, and fails all else so that calls end."""

    refusal: Exception | None = None
    checked: list[tuple[Mapping[int | None, Demand], Deadline]] = field(default_factory=list)
    submitted: list[Row] = field(default_factory=list)

    def check(self, demands: Mapping[int | None, Demand], deadline: Deadline) -> None:
        """Raise the refusal, if there is one."""
        self.checked.append((demands, deadline))
        if self.refusal:
            raise self.refusal

    def submit(self, rows: Sequence[Row]) -> None:
        """Fail the rows."""
        self.submitted += rows
        for row in rows:
            row.future.set_exception(DeadlineExceededError())


class HeldTokenizing:
    """Waits for its gate before each call, and counts."""

    def __init__(self) -> None:
        self.gate, self.begun, self.num_calls = threading.Event(), threading.Semaphore(0), 0
        self._tokenizing: Tokenizing = make_tokenizing()

    def encode(self, inputs: Sequence[Input], *, truncate: bool, context: bool = False) -> list[Encoded]:
        """Encode, once the gate is open."""
        self.num_calls += 1
        self.begun.release()
        assert self.gate.wait(10)
        return self._tokenizing.encode(inputs, truncate=truncate, context=context)

    def encode_whole(self, item: Input) -> Encoded:
        """Encode, once the gate is open."""
        return self.encode([item], truncate=True)[0]


@dataclass
class Bench:
    """A service with a pool of one thread."""

    service: InferenceService
    queue: FakeQueue
    tokenizing: HeldTokenizing
    room: TextRoom

    async def embed(self, *inputs: Input, deadline: Deadline = Deadline()) -> Analyzed:  # noqa: B008 - it is frozen
        """Ask the base."""
        call = AnalyzeCall("Embed", (TaskRequest("", EmbedOptions()),), inputs, truncate=True)
        return await self.service.analyze(call, deadline, lambda analyzed: analyzed)


@pytest.fixture
def bench() -> Iterator[Bench]:
    queue, tokenizing, room = FakeQueue(), HeldTokenizing(), TextRoom(max_characters=10_000)
    with ThreadPoolExecutor(1) as pool:
        service = InferenceService(
            AdapterRegistry(1.0),
            cast("Tiers", NoTiers()),
            queue=queue,
            tokenizing=cast("Tokenizing", tokenizing),
            pool=pool,
            text_room=room,
        )
        yield Bench(service, queue, tokenizing, room)
        tokenizing.gate.set()


@pytest.mark.parametrize("refusal", [QueueFullError("server", 10, 0.5), DeadlineExceededError(retry_seconds=0.5)])
@pytest.mark.parametrize("text", [LONG, TextInput("the cat")])
async def test_what_the_queue_would_refuse_is_not_tokenised(
    bench: Bench, refusal: QueueFullError | DeadlineExceededError, text: TextInput
) -> None:
    """It is asked about as many rows as there will be, and the deadline of the call."""
    bench.queue.refusal = refusal

    with pytest.raises(type(refusal)) as failure:
        await bench.embed(*[text] * 7, deadline=Deadline(5.0))

    assert refusal is failure.value
    assert [({BASE_SLOT: Demand.at_least(7)}, Deadline(5.0))] == bench.queue.checked
    assert 0 == bench.tokenizing.num_calls


async def test_a_flood_of_long_texts_is_refused_once_too_many_wait(bench: Bench) -> None:
    """And taken again once they don't; small calls never wait."""
    waiting = [asyncio.create_task(bench.embed(LONG)) for _ in range(2)]
    await asyncio.to_thread(bench.tokenizing.begun.acquire, timeout=10)

    with pytest.raises(QueueFullError, match="characters") as failure:
        await bench.embed(LONG)
    with pytest.raises(QueueFullError):
        await bench.service.tokenize([LONG], list)
    assert failure.value.retry_seconds is not None
    assert 1 == bench.tokenizing.num_calls

    bench.tokenizing.gate.set()
    for call in waiting:
        with pytest.raises(DeadlineExceededError):
            await call
    assert 0 == bench.room.num_characters
    assert 1 == len(await bench.service.tokenize([LONG], list))


async def test_a_cancelled_call_gives_its_share_back_at_once(bench: Bench) -> None:
    """Though the thread is still busy; one that had not begun is never tokenised."""
    first, second = [asyncio.create_task(bench.embed(LONG)) for _ in range(2)]
    await asyncio.to_thread(bench.tokenizing.begun.acquire, timeout=10)
    share = bench.room.num_characters / 2

    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert share == bench.room.num_characters
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    assert 0 == bench.room.num_characters
    bench.tokenizing.gate.set()
    await bench.service.tokenize([LONG], list)
    assert 2 == bench.tokenizing.num_calls
