"""What must be gone after a fault: counted by type among all live objects."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from adaptermux_server.adapters.registry import AdapterEntry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.heads import HeadShell
from adaptermux_server.engine.prepare import PreparedAdapter
from adaptermux_server.engine.switch.trees import PeftTree
from adaptermux_server.scheduler.arrivals import Arrival
from adaptermux_server.scheduler.queue import SlotQueue
from adaptermux_server.scheduler.shares import Share
from adaptermux_server.types import Row, RowAnswer
from tests.contract.world import World
from tests.e2e.harness import eventually

_KINDS = (
    # of an adapter
    *(AdapterEntry, ServedAdapter, PreparedAdapter, HeadShell, BankContent, PeftTree, Share, torch.nn.Module),
    # of a request
    *(Row, RowAnswer, Arrival, SlotQueue),
)


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """As many live objects of each kind after the context as before."""
    before = live()
    yield
    after = live()
    left = {kind: after[kind] - count for kind, count in before.items() if after[kind] != count}
    assert {} == left, left


def live() -> Counter[str]:
    """How many objects of the kinds that a request or an adapter is made of are alive."""
    gc.collect()
    objects = gc.get_objects()
    # By class: asking some lazy objects for what they are has effects.
    by_class = Counter(map(type, objects))
    counts = {kind.__name__: sum(count for cls, count in by_class.items() if issubclass(cls, kind)) for kind in _KINDS}
    return Counter({**counts, "storages": len(_storages(objects))})


def _storages(objects: Iterable[object]) -> set[int]:
    """The memory of all tensors; views of what is there anyway come and go."""
    tensors = (each for each in objects if issubclass(type(each), torch.Tensor))
    return {tensor.untyped_storage()._cdata for tensor in tensors if tensor.device.type != "meta"}  # type: ignore[attr-defined]


async def settle(world: World) -> None:
    """Return once no row waits and no request holds an adapter."""
    registry, scheduler = world.harness.registry, world.harness.scheduler
    await eventually(lambda: scheduler.status().num_rows_queued == 0)
    await eventually(lambda: all(record.num_in_flight == 0 for record in registry.list()))
    await world.assert_answers()
    # Handlers of calls that the client has seen end may need one more turn of the loop.
    await eventually(lambda: num_handlers() == 0)


def num_handlers() -> int:
    """Tasks of the server that answer somebody."""
    names = (task.get_coro() for task in asyncio.all_tasks())
    return sum("StreamAnalyze" in str(name) or "guarded" in str(name) for name in names)
