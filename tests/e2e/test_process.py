"""`adaptermux serve` as a process: how it starts, refuses to start, is scraped, commanded and stopped."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from adaptermux_client import AdapterMuxClient
from adaptermux_client.errors import AdapterMuxClientError, CallCancelledError, UnavailableError
from adaptermux_client.results import Classification
from adaptermux_server.testing import LocalServer, local_server
from tests.e2e.expected import TEXTS, TOLERANCE
from tests.e2e.zoo import Zoo

_NUM_CALLERS = 8
_CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """A server process and where its metrics are."""

    server: LocalServer
    metrics_address: str


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _arguments(zoo: Zoo) -> list[str]:
    """Of a server that has two adapters of one kind and no bank, so that asking both in turn makes traversals."""
    folders = [each.folder for each in zoo.revisions]
    options = [part for index, folder in enumerate(folders) for part in ("--adapter", f"adapter-{index}={folder}")]
    return ["--model", str(zoo.base), "--num-threads", "1", "--executor", "switch", *options]


def _adaptermux(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("adaptermux")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def process(zoo: Zoo) -> Iterator[Served]:
    metrics_address = _free_address()
    with local_server([*_arguments(zoo), "--metrics-address", metrics_address]) as server:
        yield Served(server, metrics_address)


def test_prometheus_shows_rows_batches_traversals_and_calls(process: Served) -> None:
    with AdapterMuxClient(process.server.data_address) as client:
        client.classify("adapter-0", list(TEXTS))
        client.classify("adapter-1", list(TEXTS))
    with urllib.request.urlopen(f"http://{process.metrics_address}/metrics", timeout=10) as response:
        text = response.read().decode()

    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(samples['adaptermux_rows_total{outcome="answered"}']) >= 2 * len(TEXTS)
    assert float(samples["adaptermux_batches_total"]) >= 2
    assert float(samples["adaptermux_traversals_total"]) >= 1
    assert float(samples['adaptermux_forwards_total{kernel="switch"}']) >= 2
    assert float(samples["adaptermux_queued_rows"]) == 0
    assert float(samples['adaptermux_rpcs_total{code="OK",rpc="Classify"}']) >= 2


def test_the_command_line_finds_the_server_healthy_and_lists_its_adapters(process: Served) -> None:
    health = _adaptermux("health", "--address", process.server.data_address)
    listed = _adaptermux("adapters", "list", "--json", "--admin-address", process.server.admin_address)

    assert (0, "SERVING") == (health.returncode, health.stdout.strip())
    assert 0 == listed.returncode
    assert ["adapter-0", "adapter-1"] == _ids(json.loads(listed.stdout))


def test_a_second_server_on_the_same_port_refuses_to_start_and_says_why(process: Served, zoo: Zoo) -> None:
    address = process.server.data_address

    second = _adaptermux("serve", *_arguments(zoo), "--address", address, "--admin-address", "127.0.0.1:0")

    assert 1 == second.returncode
    assert address in second.stderr
    assert "Traceback" not in second.stderr
    assert 1 == _adaptermux("health", "--address", _free_address()).returncode
    assert 0 == _adaptermux("health", "--address", address).returncode


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "--model", id="no model"),
        pytest.param(["--model", "m", "--max-wait-seconds", "-1"], "max_wait_seconds", id="negative wait"),
        pytest.param(["--model", "m", "--dtype", "int3"], "dtype", id="unknown type"),
        pytest.param(["--model", "m", "--adapter", "nothing"], "ID=FOLDER", id="adapter without folder"),
        pytest.param(["--model", "m", "--no-such-option"], "--no-such-option", id="unknown option"),
    ],
)
def test_wrong_settings_exit_with_2_and_say_which(arguments: list[str], says: str) -> None:
    wrong = _adaptermux("serve", *arguments)

    assert 2 == wrong.returncode
    assert says in wrong.stderr
    assert "Traceback" not in wrong.stderr


class Load:
    """Callers that call until they are refused, and what each call got."""

    def __init__(self, address: str) -> None:
        self.answers: list[Classification] = []
        self.errors: list[AdapterMuxClientError] = []
        self.going = threading.Event()
        """Set once calls are answered."""
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])

    def call(self) -> None:
        client = AdapterMuxClient(channel=self._channel, timeout=_CALL_SECONDS)
        while not self.errors:
            try:
                self.answers += client.classify("adapter-0", [TEXTS[0]] * 8, return_logits=True)
                self.going.set()
            except AdapterMuxClientError as error:
                self.errors.append(error)

    def close(self) -> None:
        self._channel.close()


def test_sigterm_under_load_ends_with_exit_0_and_a_status_for_every_call(zoo: Zoo) -> None:
    """No answer is wrong, no call hangs: each is answered, or refused by a server that stops or is gone."""
    with local_server(_arguments(zoo)) as server, ThreadPoolExecutor(_NUM_CALLERS) as pool:
        load = Load(server.data_address)
        callers = [pool.submit(load.call) for _ in range(_NUM_CALLERS)]
        assert load.going.wait(_CALL_SECONDS)
        started = time.monotonic()
        status = server.stop()
        stopped_within = time.monotonic() - started
        for caller in callers:
            caller.result(timeout=_CALL_SECONDS)
        load.close()

    assert 0 == status
    assert stopped_within < 20
    # gRPC itself drops calls that it has received and no handler has seen yet, as CANCELLED: nothing was accepted.
    refusals = (UnavailableError, CallCancelledError)
    assert [] == [repr(error) for error in load.errors if not isinstance(error, refusals)]
    assert load.errors
    expected = zoo.revisions[0].references[0].values
    assert all(abs(expected - answer.logits).max() <= TOLERANCE for answer in load.answers)
    assert ["stopping", "stopped"] == [
        line["event"] for line in server.log if str(line.get("event")).startswith("stop")
    ]


def _events(server: LocalServer) -> list[str]:
    return [str(line.get("event")) for line in server.log]


def _ids(listed: object) -> list[str]:
    adapters = listed["adapters"] if isinstance(listed, dict) else listed
    assert isinstance(adapters, list)
    return [each["id"] for each in adapters]
