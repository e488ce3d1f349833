"""AdapterMux against the naive server: what many callers get from each, and what AdapterMux adds to a lone call.

Both are processes of their own on the loopback interface, with one computing thread each, and are asked the same
requests by the same client: 16 adapters by Zipf's law, 32 concurrent callers. They take turns, round by round, so that
whatever else the machine does meets both; medians over the rounds are compared.
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
from adaptermux.v1.infer_pb2 import ClassifyRequest, ClassifyResponse, Input
from adaptermux.v1.infer_pb2_grpc import InferStub
from benchmarks.adapters import BASE_FOLDER, save_adapters
from benchmarks.processes import ServerProcess, server_process
from benchmarks.traffic import traffic

if TYPE_CHECKING:  # one class of stub serves both at run time; only their types differ
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub
    from adaptermux.v1.infer_pb2_grpc import InferAsyncStub

TARGETS: dict[str, tuple[str, float]] = {
    "speedup_vs_naive": (">=", 4.0),
    "overhead_ms_p50": ("<=", 3.0),
    "max_score_difference": ("<=", 1e-4),
}

_NUM_ADAPTERS = 16
_NUM_CALLERS = 32
_CALL_SECONDS = 60.0
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
    num_rounds, num_requests, num_idle_calls = (3, 160, 50) if quick else (5, 320, 200)
    requests = _requests(list(adapters), num_requests)
    async with AsyncExitStack() as stack:
        naive = await _start(_naive_command(adapters), stack)
        mux = await _start(_mux_command(adapters), stack)
        for server in (naive, mux):
            await _turn(server, requests[:_NUM_CALLERS])
        rounds = [(await _turn(naive, requests), await _turn(mux, requests)) for _ in range(num_rounds)]
        grouping = await _grouping(mux)
        idle = [await _call(mux, request) for request in _of_one_adapter(requests, num_idle_calls)]
    return _metrics([naive for naive, _ in rounds], [mux for _, mux in rounds], idle) | grouping


def _requests(adapter_ids: Sequence[str], num_requests: int) -> list[ClassifyRequest]:
    return [
        ClassifyRequest(adapter=adapter_ids[request.adapter], inputs=[Input(text=request.text)])
        for request in traffic(num_requests, len(adapter_ids))
    ]


def _of_one_adapter(requests: Sequence[ClassifyRequest], count: int) -> list[ClassifyRequest]:
    """The same texts for one adapter: a traversal is not part of the overhead (`switch` measures it)."""
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


async def _grouping(mux: Server) -> dict[str, float]:
    """How AdapterMux grouped what it was asked so far."""
    async with grpc.aio.insecure_channel(mux.process.addresses["admin"]) as channel:
        stub = cast("AdapterAdminAsyncStub", AdapterAdminStub(channel))
        status = await stub.GetServerStatus(GetServerStatusRequest(), timeout=_CALL_SECONDS)
    return {
        "mux_rows_per_batch": status.mean_batch_rows,
        "mux_rows_per_traversal": status.rows.answered / max(1, status.num_traversals),
    }


def _metrics(naive: Sequence[Round], mux: Sequence[Round], idle: Sequence[Call]) -> dict[str, float]:
    naive_rate, mux_rate = _median_rate(naive), _median_rate(mux)
    overheads = [call.seconds - _compute_seconds(call) for call in idle]
    return {
        "speedup_vs_naive": mux_rate / naive_rate,
        "overhead_ms_p50": _milliseconds(overheads, 50),
        "max_score_difference": _max_score_difference(naive[0], mux[0]),
        "naive_requests_per_second": naive_rate,
        "mux_requests_per_second": mux_rate,
        "naive_cpu_ms_per_request": _cpu_milliseconds(naive),
        "mux_cpu_ms_per_request": _cpu_milliseconds(mux),
        **_latencies("naive", naive),
        **_latencies("mux", mux),
        "idle_ms_p50": _milliseconds([call.seconds for call in idle], 50),
        "idle_forward_ms_p50": _milliseconds([_compute_seconds(call) for call in idle], 50),
        "overhead_ms_p99": _milliseconds(overheads, 99),
    }


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
    """How far the servers' scores for the same request and label are apart, at most."""
    pairs = zip(map(_scores, naive.calls), map(_scores, mux.calls), strict=True)
    return max(abs(ours[label] - theirs[label]) for theirs, ours in pairs for label in theirs)


def _scores(call: Call) -> dict[str, float]:
    return {label.label: label.score for label in call.response.results[0].labels}
