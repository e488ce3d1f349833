"""AdapterMux against the naive server and against the bare base model: what many callers get, and what a lone one pays.

Servers and the base model are processes of their own with one computing thread each, the servers on the loopback
interface and asked by the same client: 64 adapters by Zipf's law, 64 concurrent callers. They take turns, round by
round, so that whatever else the machine does meets all; medians over the rounds. `share_of_base` compares rows answered
per second with the forwards of the bare base over the same texts, sorted by length (see `bare_base`), in batches of the
size that suits it best. `share_of_base_in_windows` is the same, but that the base, too, must take the texts as they
come, and can sort no more of them than a batch of the server holds.

`overhead_ms_…` is what a lone call takes beside its forward. `bare_call_ms_p50` is a call that computes nothing, after
a pause as long as a forward, in which processor and caches turn to other things: what gRPC alone takes of it.
"""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import grpc
import numpy as np
import psutil

from adaptermux.v1.adapter_admin_pb2 import GetServerStatusRequest
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux.v1.infer_pb2 import ClassifyRequest, ClassifyResponse, GetModelRequest, Input
from adaptermux.v1.infer_pb2_grpc import InferStub
from benchmarks.adapters import BASE_FOLDER, save_adapters
from benchmarks.base_process import BaseRound, bare_base
from benchmarks.processes import ServerProcess, server_process
from benchmarks.traffic import traffic

if TYPE_CHECKING:  # one class of stub serves both at run time; only their types differ
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub
    from adaptermux.v1.infer_pb2_grpc import InferAsyncStub

TARGETS: dict[str, tuple[str, float]] = {
    "speedup_vs_naive": (">=", 8.0),
    "share_of_base": (">=", 0.85),
    "overhead_ms_p50": ("<=", 1.5),
    "max_score_difference": ("<=", 1e-4),
}

_NUM_ADAPTERS = 64
_NUM_CALLERS = 64
_NUM_WARM_UPS = 256
"""Requests after which the server has learnt what forwards cost."""
_WINDOW_ROWS = 32
"""The most that a batch of the server holds."""
_CALL_SECONDS = 60.0
_PAUSE_SECONDS = 0.015
_SERVE = "import typer; from adaptermux_server.cli import serve; typer.run(serve)"
"""`adaptermux serve`, also where the entry points of the package aren't installed."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it."""

    seconds: float
    response: ClassifyResponse


@dataclass(frozen=True, slots=True)
class Server:
    """A server to measure."""

    process: ServerProcess
    stub: "InferAsyncStub"

    def cpu_seconds(self) -> float:
        """CPU time that its process has used."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@dataclass(frozen=True, slots=True)
class Round:
    """One server's turn: `calls` in the order of the requests."""

    seconds: float
    cpu_seconds: float
    """Of the server's process; unlike `seconds` it hardly depends on what else the machine does."""
    calls: Sequence[Call]

    @property
    def requests_per_second(self) -> float:
        """Throughput."""
        return len(self.calls) / self.seconds


def run(quick: bool) -> dict[str, float]:
    """Measure; the servers are started and stopped here."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_measure(save_adapters(Path(folder), _NUM_ADAPTERS), quick))


async def _measure(adapters: Mapping[str, Path], quick: bool) -> dict[str, float]:
    num_rounds, num_naive, num_requests, num_idle_calls = (2, 48, 256, 50) if quick else (7, 128, 640, 200)
    requests = _requests(list(adapters), num_requests)
    async with AsyncExitStack() as stack:
        texts = [request.inputs[0].text for request in requests]
        bases = await stack.enter_async_context(bare_base(texts, (len(texts), _WINDOW_ROWS)))
        async with asyncio.TaskGroup() as group:
            starts = [group.create_task(_start(command(adapters), stack)) for command in (_naive_command, _mux_command)]
        naive, mux = (start.result() for start in starts)
        await _turn(naive, requests[:1])
        await _turn(mux, requests[:_NUM_WARM_UPS])
        rounds = [
            (
                await _turn(naive, requests[:num_naive]),
                await _turn(mux, requests),
                [await base.turn() for base in bases],
            )
            for _ in range(num_rounds)
        ]
        grouping = await _grouping(mux)
        idle = [(await _call(mux, request), await _bare_call(mux)) for request in _lone(requests, num_idle_calls)]
    naive_rounds, mux_rounds, base_rounds = zip(*rounds, strict=True)
    metrics = _metrics(naive_rounds, mux_rounds) | _base_metrics(mux_rounds, base_rounds)
    return metrics | _idle_metrics(*zip(*idle, strict=True)) | grouping


def _requests(adapter_ids: Sequence[str], num_requests: int) -> list[ClassifyRequest]:
    return [
        ClassifyRequest(adapter=adapter_ids[request.adapter], inputs=[Input(text=request.text)])
        for request in traffic(num_requests, len(adapter_ids))
    ]


def _lone(requests: Sequence[ClassifyRequest], count: int) -> list[ClassifyRequest]:
    """The same texts for one adapter."""
    texts = (requests[index % len(requests)].inputs for index in range(count))
    return [ClassifyRequest(adapter=requests[0].adapter, inputs=inputs) for inputs in texts]


def _naive_command(adapters: Mapping[str, Path]) -> list[str]:
    pairs = [f"{adapter_id}={folder}" for adapter_id, folder in adapters.items()]
    return [sys.executable, "-m", "benchmarks.naive_server", str(BASE_FOLDER), *pairs]


def _mux_command(adapters: Mapping[str, Path]) -> list[str]:
    listeners = ["--address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"]
    options = [f"--adapter={adapter_id}={folder}" for adapter_id, folder in adapters.items()]
    settings = ["--model", str(BASE_FOLDER), "--num-threads", "1", "--log-format", "json"]
    return [sys.executable, "-c", _SERVE, *settings, *listeners, *options]


async def _start(command: Sequence[str], stack: AsyncExitStack) -> Server:
    process = await stack.enter_async_context(server_process(*command))
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(process.addresses["data"]))
    return Server(process, cast("InferAsyncStub", InferStub(channel)))


async def _turn(server: Server, requests: Sequence[ClassifyRequest]) -> Round:
    """Ask all requests, each caller taking the next one as soon as it is free."""
    calls: dict[int, Call] = {}
    waiting = iter(enumerate(requests))

    async def caller() -> None:
        for index, request in waiting:
            calls[index] = await _call(server, request)

    started, cpu_started = time.perf_counter(), server.cpu_seconds()
    await asyncio.gather(*(caller() for _ in range(_NUM_CALLERS)))
    seconds, cpu_seconds = time.perf_counter() - started, server.cpu_seconds() - cpu_started
    return Round(seconds, cpu_seconds, [calls[index] for index in range(len(requests))])


async def _call(server: Server, request: ClassifyRequest) -> Call:
    started = time.perf_counter()
    response = await server.stub.Classify(request, timeout=_CALL_SECONDS)
    return Call(time.perf_counter() - started, response)


async def _bare_call(server: Server) -> float:
    """Returns its seconds."""
    await asyncio.sleep(_PAUSE_SECONDS)
    started = time.perf_counter()
    await server.stub.GetModel(GetModelRequest(), timeout=_CALL_SECONDS)
    return time.perf_counter() - started


async def _grouping(mux: Server) -> dict[str, float]:
    """How AdapterMux grouped what it was asked so far."""
    async with grpc.aio.insecure_channel(mux.process.addresses["admin"]) as channel:
        stub = cast("AdapterAdminAsyncStub", AdapterAdminStub(channel))
        status = await stub.GetServerStatus(GetServerStatusRequest(), timeout=_CALL_SECONDS)
    return {
        "mux_rows_per_forward": status.mean_batch_rows,
        "mux_adapters_per_forward": status.mean_batch_adapters,
    }


def _metrics(naive: Sequence[Round], mux: Sequence[Round]) -> dict[str, float]:
    speedups = [ours.requests_per_second / theirs.requests_per_second for theirs, ours in zip(naive, mux, strict=True)]
    return {
        "speedup_vs_naive": float(np.median(speedups)),
        "max_score_difference": _max_score_difference(naive[0], mux[0]),
        "naive_requests_per_second": _median_rate(naive),
        "mux_requests_per_second": _median_rate(mux),
        "naive_cpu_ms_per_request": _cpu_milliseconds(naive),
        "mux_cpu_ms_per_request": _cpu_milliseconds(mux),
        **_latencies("naive", naive),
        **_latencies("mux", mux),
    }


def _idle_metrics(calls: Sequence[Call], bare_calls: Sequence[float]) -> dict[str, float]:
    overheads = [call.seconds - _compute_seconds(call) for call in calls]
    return {
        "overhead_ms_p50": _milliseconds(overheads, 50),
        "overhead_ms_p99": _milliseconds(overheads, 99),
        "bare_call_ms_p50": _milliseconds(bare_calls, 50),
        "idle_ms_p50": _milliseconds([call.seconds for call in calls], 50),
        "idle_forward_ms_p50": _milliseconds([_compute_seconds(call) for call in calls], 50),
    }


def _base_metrics(mux: Sequence[Round], base: Sequence[Sequence[BaseRound]]) -> dict[str, float]:
    """`base`: by round, with all texts sorted and within windows."""
    all_sorted, in_windows = zip(*base, strict=True)
    return {
        "share_of_base": _share(mux, all_sorted),
        "share_of_base_in_windows": _share(mux, in_windows),
        "base_rows_per_second": float(np.median([round_.rows_per_second for round_ in all_sorted])),
        "base_cpu_ms_per_row": _cpu_milliseconds_of_base(all_sorted),
        "base_cpu_ms_per_row_in_windows": _cpu_milliseconds_of_base(in_windows),
    }


def _share(mux: Sequence[Round], base: Sequence[BaseRound]) -> float:
    shares = [ours.requests_per_second / its.rows_per_second for ours, its in zip(mux, base, strict=True)]
    return float(np.median(shares))


def _cpu_milliseconds_of_base(rounds: Sequence[BaseRound]) -> float:
    return float(np.median([round_.cpu_seconds / round_.num_rows for round_ in rounds])) * 1e3


def _median_rate(rounds: Sequence[Round]) -> float:
    return float(np.median([round_.requests_per_second for round_ in rounds]))


def _cpu_milliseconds(rounds: Sequence[Round]) -> float:
    return float(np.median([round_.cpu_seconds / len(round_.calls) for round_ in rounds])) * 1e3


def _latencies(server: str, rounds: Sequence[Round]) -> dict[str, float]:
    seconds = [call.seconds for round_ in rounds for call in round_.calls]
    return {f"{server}_ms_p{percent}": _milliseconds(seconds, percent) for percent in (50, 99)}


def _compute_seconds(call: Call) -> float:
    compute = call.response.timings.compute
    return compute.seconds + compute.nanos * 1e-9


def _milliseconds(seconds: Sequence[float], percent: float) -> float:
    return float(np.percentile(seconds, percent)) * 1e3


def _max_score_difference(naive: Round, mux: Round) -> float:
    """How far the servers' scores for the same request and label are apart, at most. Naive was asked fewer."""
    pairs = zip(map(_scores, naive.calls), map(_scores, mux.calls), strict=False)
    return max(abs(ours[label] - theirs[label]) for theirs, ours in pairs for label in theirs)


def _scores(call: Call) -> dict[str, float]:
    return {label.label: label.score for label in call.response.results[0].labels}
