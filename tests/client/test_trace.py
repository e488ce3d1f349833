"""`adaptermux trace`: forwards as a document that trace viewers open."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import grpc

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client.cli.trace_events import Trace
from adaptermux_client.convert_batches import watched_batches
from tests.client.command_line import Run
from tests.client.fake_answers import UNAVAILABLE, failure
from tests.client.fake_server import FakeServer
from tests.client.test_cli_process import COMMAND, environment
from tests.client.trace_rules import assert_valid, slices
from tests.client.watched import EPOCH_MICROSECONDS, batch, row, told

FIRST = batch(
    row("a", 10, waited_us=300, request="r-1"),
    row("a", 6, waited_us=900),
    row("", 8, waited_us=100),
    start_us=1000,
    compute_us=500,
    kernel="segments",
)
SECOND = batch(row("b", 4, waited_us=1200), start_us=2000, traversal_us=70, compute_us=400, kernel="switch")


def traced(*responses: pb.WatchBatchesResponse) -> dict[str, Any]:
    """The document of these, which is valid."""
    trace = Trace({"server": "AdapterMux"})
    for response in responses:
        trace.add(watched_batches(response))
    document: dict[str, Any] = json.loads(json.dumps(trace.document()))
    assert_valid(document)
    return document


def of(document: dict[str, Any], phase: str, name: str = "") -> list[dict[str, Any]]:
    """Events of a phase (and of a name)."""
    return [e for e in document["traceEvents"] if e["ph"] == phase and name in ("", e["name"])]


def span(event: dict[str, Any]) -> tuple[int, int]:
    """When a slice begins and ends, in microseconds after the server."""
    begin = event["ts"] - EPOCH_MICROSECONDS
    return begin, begin + event["dur"]


def test_forwards_are_slices_of_the_engine() -> None:
    """By the server's clock, the traversal before its forward; each says what it computed."""
    document = traced(told(FIRST, SECOND))

    first, second = slices(document, "forwards")
    [traversal] = slices(document, "traversals")
    assert [("segments", (1000, 1500)), ("switch", (2070, 2470))] == [(e["name"], span(e)) for e in (first, second)]
    assert (2000, 2070) == span(traversal)
    adapters = {"a": 2, "base model": 1}
    assert {"rows": 3, "tokens": 24, "padded_tokens": 30, "adapters": adapters} == first["args"]


def test_each_adapter_has_a_track_with_its_part_in_forwards() -> None:
    """Named once, however often it comes."""
    again = batch(row("a"), start_us=3000, compute_us=100)
    document = traced(told(FIRST, SECOND), told(again))

    assert [(1000, 1500), (3000, 3100)] == [span(e) for e in slices(document, "a")]
    assert [(1000, 1500)] == [span(e) for e in slices(document, "base model")]
    assert [(2070, 2470)] == [span(e) for e in slices(document, "b")]
    assert {"rows": 2, "tokens": 16} == slices(document, "a")[0]["args"]


def test_waits_end_where_the_forward_was_given_to_the_engine() -> None:
    """They overlap, so they are asynchronous; each says which request it was."""
    document = traced(told(FIRST, SECOND))

    begins = [(e["ts"] - EPOCH_MICROSECONDS, e["name"], e["args"]) for e in of(document, "b")]
    ends = [e["ts"] - EPOCH_MICROSECONDS for e in of(document, "e")]
    assert [
        (700, "a waits", {"tokens": 10, "request": "r-1"}),
        (100, "a waits", {"tokens": 6, "request": ""}),
        (900, "base model waits", {"tokens": 8, "request": ""}),
        (800, "b waits", {"tokens": 4, "request": ""}),
    ] == begins
    assert [1000, 1000, 1000, 2000] == ends


def test_arrows_lead_from_the_longest_wait_to_the_forward() -> None:
    """By the adapter's part in it."""
    document = traced(told(FIRST))

    longest = [e["args"]["tokens"] for e in of(document, "b") if e.get("flow_out")]
    assert [6, 8] == longest
    assert 2 == len(of(document, "s")) == len(of(document, "f"))
    forward = slices(document, "forwards")[0]
    assert {(forward["pid"], forward["tid"])} == {(e["pid"], e["tid"]) for e in of(document, "f")}


def test_counters_tell_of_queue_rows_and_padding() -> None:
    """The queue as it was when the last forward of a response had ended."""
    document = traced(told(FIRST, queued=7), told(SECOND, queued=0))

    def values(name: str) -> list[tuple[int, float]]:
        return [(e["ts"] - EPOCH_MICROSECONDS, e["args"]["value"]) for e in of(document, "C", name)]

    assert [(1500, 7), (2470, 0)] == values("queued rows")
    assert [(1000, 3), (2070, 1)] == values("rows per forward")
    assert [(1000, 20.0), (2070, 0.0)] == values("padding %")


def test_forwards_never_overlap_though_clocks_are_set() -> None:
    """The engine has one thread; `assert_valid` looks at all tracks."""
    back = batch(row("a", waited_us=10), start_us=1200, compute_us=300)
    document = traced(told(FIRST), told(back))

    assert [(1000, 1500), (1500, 1800)] == [span(e) for e in slices(document, "forwards")]
    assert 1500 == of(document, "e")[-1]["ts"] - EPOCH_MICROSECONDS


def test_what_was_missed_and_what_failed_is_in_it() -> None:
    """A gap would look like rest."""
    document = traced(told(FIRST), told(batch(row("a"), start_us=5000, kernel=""), missed=12))

    [missed] = of(document, "i")
    assert ("12 forwards missed", 5000) == (missed["name"], missed["ts"] - EPOCH_MICROSECONDS)
    assert "failed" == slices(document, "forwards")[-1]["name"]


def test_the_command_prints_one_document(run: Run, server: FakeServer) -> None:
    """And says aside what is in it, and what opens it."""
    server.admin.batches = [[told(FIRST), told(SECOND, missed=3)]]

    result = run("trace", "--seconds", "0.5")

    document = json.loads(result.stdout)
    assert_valid(document)
    assert 0 == result.exit_code
    assert 2 == len(slices(document, "forwards"))
    assert {"server": "AdapterMux 0.1.0", "address": server.address} == document["otherData"]
    assert "2 forwards with 4 rows of 3 adapters; open it in ui.perfetto.dev or chrome://tracing" in result.stderr
    assert "3 forwards are missing" in result.stderr


def test_a_server_at_rest_gives_an_empty_trace(run: Run) -> None:
    """Valid all the same, and said so."""
    result = run("trace", "--seconds", "0.3")

    document = json.loads(result.stdout)
    assert_valid(document)
    assert [] == [e for e in document["traceEvents"] if e["ph"] != "M"]
    assert (0, "nothing was computed meanwhile: the trace is empty\n") == (result.exit_code, result.stderr)


def test_it_can_be_written_to_a_file(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """Stdout has nothing then."""
    server.admin.batches = [[told(FIRST)]]

    result = run("trace", "--seconds", "0.3", "--output", str(tmp_path / "t.json"))

    assert (0, "") == (result.exit_code, result.stdout)
    assert_valid(json.loads((tmp_path / "t.json").read_text("utf-8")))


def test_a_file_that_cannot_be_written_is_told_before_anything_is_recorded(
    run: Run, server: FakeServer, tmp_path: Path
) -> None:
    """Wrong usage."""
    result = run("trace", "--seconds", "600", "--output", str(tmp_path))

    assert 2 == result.exit_code
    assert "directory" in result.stderr


def test_a_server_that_stops_leaves_what_was_recorded(run: Run, server: FakeServer) -> None:
    """With a word about it."""
    server.admin.batches = [[told(FIRST), UNAVAILABLE]]

    result = run("trace", "--seconds", "600")

    assert 1 == len(slices(json.loads(result.stdout), "forwards"))
    assert 0 == result.exit_code
    assert "the connection was lost before the end: try again" in result.stderr


def test_other_failures_are_errors(run: Run, server: FakeServer) -> None:
    """A token that may not look, for example; and nobody at the address."""
    server.admin.batches = [[failure(grpc.StatusCode.PERMISSION_DENIED, "not yours", "PERMISSION_DENIED")]]
    refused = run("trace", "--seconds", "600")
    server.close()

    assert (1, "") == (refused.exit_code, refused.stdout)
    assert "not yours" in refused.stderr
    assert 4 == run("trace", "--seconds", "600").exit_code


def test_an_interrupt_writes_what_was_recorded(server: FakeServer, tmp_path: Path) -> None:
    """As if the time had been over."""
    server.admin.batches = [[told(FIRST), told(SECOND)]]
    leader, follower = os.openpty()
    command = [*COMMAND, "trace", "--seconds", "600", "--output", str(tmp_path / "t.json")]
    process = subprocess.Popen(command, env=environment(server), stderr=follower)
    try:
        _read_until(leader, b"2 forwards")
        process.send_signal(signal.SIGINT)
        status = process.wait(30)
    finally:
        process.kill()
        os.close(leader)
        os.close(follower)

    document = json.loads((tmp_path / "t.json").read_text("utf-8"))
    assert_valid(document)
    assert (0, 2) == (status, len(slices(document, "forwards")))


def _read_until(terminal: int, text: bytes) -> None:
    """The progress on a terminal: it says how far it is."""
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 65_536)
