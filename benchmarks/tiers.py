"""Ten thousand adapters of which 256 fit the engine and 1,024 more the host tier, by Zipf's law (exponent 1.1).

A store with an adapter for each (LoRA of rank 2 on queries and values, a head; all with weights of their own) is served
twice, by the real control plane, scheduler and engine, without gRPC: once with these limits, and once with everything
that is asked for in the engine all the time. Both answer the same requests of 64 callers, each of whom asks again as
soon as it has its answer, and take turns, round by round; one computing thread each. `zipf_throughput_share` is the
median of the ratios of their throughputs.

`hit_ms_p50`, `miss_host_ms_p50`, `miss_disk_ms_p50`: what a lone caller waits for one short row whose adapter is in the
engine, in host memory, or in the store alone. (The files are in memory, as those that were read before mostly are: a
cold disk comes on top.) `busy_…`: the same among the 64 callers. `…_rate`: where their requests found their adapters;
`evictions` and `prefetches`: what was moved for them, and ahead of them.

Each answer is compared with that of the other server, and a sample with plain PEFT, one adapter at a time.
"""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.control import ControlPlane, build_control_plane
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.tiers import TierLimits
from adaptermux_server.engine.engine import Engine
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.scheduler.settings import SchedulerSettings
from adaptermux_server.tasks.inputs import TextInput
from adaptermux_server.tasks.options import ClassifyOptions
from adaptermux_server.tasks.results import Classification
from adaptermux_server.tasks.service import AnalyzeCall, Analyzed, AnsweredBy, InferenceService, TaskRequest
from adaptermux_server.tasks.tokenizing import Tokenizing
from adaptermux_server.types import AdapterSpec, Deadline, Tier
from benchmarks.adapters import load_peft, lora, save_adapters
from benchmarks.engines import prepare, running_engine
from benchmarks.many_adapters import adapter_id, fill_store, workspace
from benchmarks.traffic import Request, traffic

TARGETS: dict[str, tuple[str, float]] = {
    "zipf_throughput_share": (">=", 0.8),
    "max_difference_from_resident": ("<=", 1e-4),
    "max_difference_from_peft": ("<=", 1e-4),
}

_NUM_CALLERS = 64
_NUM_COMPARED_WITH_PEFT = 8
_RANK, _TARGET_MODULES = 2, ("query", "value")
_STORE = "store"
_TEXT = "the story was lovely"
_BASE = "the base of this benchmark"
_MAX_WAIT_SECONDS = 1.0
_NAMES = {Tier.DEVICE: "hit", Tier.HOST: "miss_host", Tier.DISK: "miss_disk"}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    num_adapters: int
    num_slots: int
    num_in_host: int
    """Adapters that the host tier has room for."""
    num_warm_ups: int
    """Requests after which the tiers hold what they hold in the long run."""
    num_rounds: int
    num_requests: int
    """In each round."""
    num_lone: int
    """Calls of a lone caller for each tier."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it."""

    seconds: float
    tier: Tier
    """Where its adapter was when it came."""
    logits: tuple[float, ...]


class Plane:
    """A server without its transport."""

    def __init__(self, control: ControlPlane, service: InferenceService) -> None:
        self.control, self._service = control, service
        self._served = {entry.id: entry.current for entry in control.registry.entries()}

    def served(self, number: int) -> ServedAdapter:
        """The adapter with a number."""
        served = self._served[adapter_id(number)]
        assert served is not None, "this is a bug: all were restored"
        return served

    async def ask(self, number: int, text: str) -> Call:
        """Ask an adapter."""
        served = self.served(number)
        task = TaskRequest(served.id, ClassifyOptions(return_logits=True))
        tier, started = served.tier, time.perf_counter()
        logits = await self._service.analyze(
            AnalyzeCall("Classify", (task,), (TextInput(text),)), Deadline(), lambda found: _logits(found, served)
        )
        return Call(time.perf_counter() - started, tier, logits)

    async def turn(self, requests: Sequence[Request]) -> tuple[float, list[Call]]:
        """Ask all; returns requests per second, and the calls in the order of the requests."""
        calls: dict[int, Call] = {}
        waiting = iter(enumerate(requests))

        async def caller() -> None:
            for index, request in waiting:
                calls[index] = await self.ask(request.adapter, request.text)

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(_NUM_CALLERS)))
        return len(requests) / (time.perf_counter() - started), [calls[index] for index in range(len(requests))]


def run(quick: bool) -> dict[str, float]:
    """Measure; `quick`: 1,500 adapters, 64 in the engine and 192 in the host tier, and fewer requests."""
    scale = Scale(1500, 64, 192, 600, 3, 256, 20) if quick else Scale(10_000, 256, 1024, 4000, 6, 1024, 100)
    with workspace() as folder:
        return asyncio.run(_measure(folder, scale))


async def _measure(folder: Path, scale: Scale) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        engine, other_engine = [await stack.enter_async_context(running_engine()) for _ in range(2)]
        spec = await _fill(folder, engine, scale.num_adapters)
        catalog = Catalog(Store(folder / _STORE))
        stack.callback(catalog.close)
        limits = TierLimits(device_adapters=scale.num_slots, host_bytes=scale.num_in_host * spec.size_bytes)
        tiered = await stack.enter_async_context(_plane(engine, catalog, limits))
        resident = await stack.enter_async_context(_plane(other_engine, catalog, TierLimits()))
        requests = traffic(scale.num_rounds * scale.num_requests, scale.num_adapters, seed=1)
        await _warm_up(tiered, resident, requests, scale)
        rounds = _Rounds(tiered, resident)
        for begin in range(0, len(requests), scale.num_requests):
            await rounds.make(requests[begin : begin + scale.num_requests])
        lone = await _lone_calls(tiered, scale)
        sample = random.Random(0).sample(range(len(requests)), _NUM_COMPARED_WITH_PEFT)
        differences = [
            _max_difference(rounds.calls[index].logits, _peft_logits(engine, catalog, tiered, requests[index]))
            for index in sample
        ]
        return {**rounds.metrics(), **_latencies("", lone), "max_difference_from_peft": max(differences)}


class _Rounds:
    """The same requests for both, round by round."""

    def __init__(self, tiered: Plane, resident: Plane) -> None:
        self._tiered, self._resident = tiered, resident
        self._counts = tiered.control.tiers.counts
        self.rates: list[tuple[float, float]] = []
        self.calls: list[Call] = []
        """Of the tiered one."""
        self._others: list[Call] = []

    async def make(self, requests: Sequence[Request]) -> None:
        """One more."""
        rate, calls = await self._tiered.turn(requests)
        other_rate, others = await self._resident.turn(requests)
        self.rates.append((rate, other_rate))
        self.calls += calls
        self._others += others

    def metrics(self) -> dict[str, float]:
        """What they gave."""
        counts, tiers = self._tiered.control.tiers.counts, [call.tier for call in self.calls]
        assert all(call.tier is Tier.DEVICE for call in self._others), "this is a bug: the other one isn't resident"
        return {
            "zipf_throughput_share": float(np.median([rate / other for rate, other in self.rates])),
            "requests_per_second": float(np.median([rate for rate, _ in self.rates])),
            "resident_requests_per_second": float(np.median([other for _, other in self.rates])),
            **{f"{name}_rate": tiers.count(tier) / len(tiers) for tier, name in _NAMES.items()},
            **_latencies("busy_", self.calls),
            "evictions": counts.evictions - self._counts.evictions,
            "prefetches": counts.prefetches - self._counts.prefetches,
            "max_difference_from_resident": max(
                _max_difference(call.logits, other.logits) for call, other in zip(self.calls, self._others, strict=True)
            ),
        }


async def _fill(folder: Path, engine: Engine, num_adapters: int) -> AdapterSpec:
    """Returns what all adapters are."""
    (template,) = save_adapters(folder, 1, config=lora(_RANK, _TARGET_MODULES)).values()
    spec = (await prepare(engine, template)).spec
    await asyncio.to_thread(fill_store, folder / _STORE, template, num_adapters, spec, _BASE)
    return spec


@asynccontextmanager
async def _plane(engine: Engine, catalog: Catalog, limits: TierLimits) -> AsyncIterator[Plane]:
    scheduler = Scheduler(engine.run, SchedulerSettings())
    registry = AdapterRegistry(_MAX_WAIT_SECONDS)
    sources = Sources([], catalog.workspace)
    control = build_control_plane(registry, engine, scheduler, catalog, sources, base=_BASE, tier_limits=limits)
    facts = engine.backbone.facts
    tokenizing = Tokenizing(engine.backbone.tokenizer, facts.max_tokens)
    with ThreadPoolExecutor(1) as pool:
        service = InferenceService(registry, control.tiers, queue=scheduler, tokenizing=tokenizing, pool=pool)
        await control.restoring.run()
        await scheduler.start()
        try:
            yield Plane(control, service)
        finally:
            await scheduler.close()
            await control.close()


async def _warm_up(tiered: Plane, resident: Plane, requests: Sequence[Request], scale: Scale) -> None:
    for number in {request.adapter for request in requests}:
        await resident.control.tiers.bring_up(resident.served(number))
    # As the server does.
    gc.freeze()
    await resident.turn(requests[: scale.num_slots])
    tiered.control.upkeep.start()
    await tiered.turn(traffic(scale.num_warm_ups, scale.num_adapters))


async def _lone_calls(plane: Plane, scale: Scale) -> list[Call]:
    """As many for each tier, in turn, of adapters drawn from those that are in it then."""
    dice, calls = random.Random(0), []
    for tier in (*Tier,) * scale.num_lone:
        there = [number for number in range(scale.num_adapters) if plane.served(number).tier is tier]
        calls.append(await plane.ask(dice.choice(there), _TEXT))
    return calls


def _peft_logits(engine: Engine, catalog: Catalog, plane: Plane, request: Request) -> Sequence[float]:
    """What plain PEFT answers with the adapter's files."""
    model = load_peft([catalog.folder(plane.served(request.adapter).revision)])
    with torch.inference_mode():
        logits: list[list[float]] = model(
            **engine.backbone.tokenizer(request.text, return_tensors="pt")
        ).logits.tolist()
    return logits[0]


def _logits(found: Analyzed, asked: ServedAdapter) -> tuple[float, ...]:
    ((result,),), (answered_by,) = found.results, found.answered_by
    assert isinstance(result, Classification), "this is a bug: it was asked to classify"
    assert answered_by == AnsweredBy(asked.id, asked.revision), "this is a bug: another adapter answered"
    return result.logits


def _latencies(prefix: str, calls: Sequence[Call]) -> dict[str, float]:
    return {
        f"{prefix}{name}_ms_p50": float(np.median([call.seconds for call in calls if call.tier is tier])) * 1e3
        for tier, name in _NAMES.items()
    }


def _max_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return float(np.abs(np.subtract(ours, theirs)).max())
