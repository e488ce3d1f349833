"""`adaptermux adapters watch`: a line for each event, for people and for programs."""

import json
import re
import signal
import subprocess

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client import watching
from tests.client.command_line import Run
from tests.client.fake_answers import SENTIMENT, UNAVAILABLE, failure
from tests.client.fake_server import FakeServer
from tests.client.test_cli_process import COMMAND, environment

Event = pb.WatchAdaptersResponse
ALIAS = pb.Alias(
    name="prod", targets=[pb.AliasTarget(adapter="sentiment", weight=3), pb.AliasTarget(adapter="pos", weight=1)]
)
BROKEN = pb.Adapter(id="new", state=pb.ADAPTER_STATE_FAILED)
BROKEN.error.CopyFrom(failure(grpc.StatusCode.FAILED_PRECONDITION, "w:\nshape", "BASE_MISMATCH", {"tensor": "w"}))
PINNED = pb.Adapter(
    id="a", state=pb.ADAPTER_STATE_READY, tier=pb.TIER_DEVICE, pinned=True, weight=2, metadata={"t": "s"}
)
ENOUGH = failure(grpc.StatusCode.INTERNAL, "enough", "INTERNAL")
EVENTS = [
    Event(snapshot_begin=pb.SnapshotBegin()),
    Event(adapter=SENTIMENT),
    Event(alias=ALIAS),
    Event(snapshot_end=pb.SnapshotEnd(), resume_token="t1"),
    Event(adapter=PINNED, resume_token="t2"),
    Event(adapter=BROKEN, resume_token="t3"),
    Event(removed_adapter_id="a", resume_token="t4"),
    Event(removed_alias_name="prod", resume_token="t5"),
]


def test_each_event_is_a_line(run: Run, server: FakeServer) -> None:
    """With the time at which it came; an error that has several lines is one here."""
    server.admin.watches = [[*EVENTS, ENOUGH]]

    result = run("adapters", "watch")

    times, told = zip(*(line.split("  ", maxsplit=1) for line in result.stdout.splitlines()), strict=True)
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", time) for time in times)
    assert told == (
        "all that there is:",
        "adapter sentiment@3fa9c1d2  READY",
        "alias   prod → sentiment 75%, pos 25%",
        "that is all; changes follow",
        "adapter a  READY  device pinned  weight 2  t=s",
        "adapter new  FAILED  BASE_MISMATCH: w: shape",
        "adapter a  removed",
        "alias   prod  removed",
    )
    assert (1, "error: enough") == (result.exit_code, result.stderr.splitlines()[0])


def test_json_is_a_document_on_each_line(run: Run, server: FakeServer) -> None:
    """With what it takes to resume."""
    server.admin.watches = [[*EVENTS, ENOUGH]]

    found = [json.loads(line) for line in run("adapters", "watch", "--json", "--resume", "t0").stdout.splitlines()]

    assert [each["event"] for each in found] == [
        *("snapshot_begin", "adapter", "alias", "snapshot_end", "adapter", "adapter"),
        *("adapter_removed", "alias_removed"),
    ]
    assert ("t4", "a") == (found[6]["resume_token"], found[6]["adapter_id"])
    assert found[4]["adapter"]["metadata"] == {"t": "s"}
    assert server.script.requests[0].resume_token == "t0"  # type: ignore[attr-defined]


def test_a_lost_connection_is_told_aside(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, however many tries it takes; stdout has events alone."""
    monkeypatch.setattr(watching, "FIRST_DELAY_SECONDS", 0.001)
    server.admin.watches = [[EVENTS[3], UNAVAILABLE], [UNAVAILABLE], [EVENTS[6], UNAVAILABLE], [ENOUGH]]

    result = run("adapters", "watch")

    first, second = result.stdout.splitlines()
    assert first.endswith("changes follow")
    assert second.endswith("a  removed")
    assert result.stderr.splitlines()[:3] == ["connection lost, trying again: try again"] * 2 + ["error: enough"]


def test_without_reconnection_a_lost_connection_ends_it(run: Run, server: FakeServer) -> None:
    """As a call to nobody does."""
    server.admin.watches = [[EVENTS[3], UNAVAILABLE]]

    assert run("adapters", "watch", "--no-reconnect").exit_code == 4


def test_an_interrupt_ends_it(server: FakeServer) -> None:
    """Each line was there before: a pipe gets events as they come."""
    server.admin.watches = [EVENTS[:2]]

    process = subprocess.Popen(
        [*COMMAND, "adapters", "watch", "--json"],
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    finally:
        process.kill()

    assert ["snapshot_begin", "adapter"] == [json.loads(line)["event"] for line in (first, second)]
    assert 130 == process.returncode
    assert b"Traceback" not in complaint
    assert server.admin.watch_ended.wait(10)
