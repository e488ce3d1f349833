"""Servers as processes: addresses come from their log, and none outlives its context."""

import sys

import psutil
import pytest

from benchmarks.processes import server_process

_SERVER = """
import json, sys, time
print("a warning that is no JSON", file=sys.stderr)
for fields in (
    {"event": "listening", "listener": "data", "address": "127.0.0.1:1"},
    {"event": "listening", "listener": "admin", "address": "127.0.0.1:2"},
    {"event": "serving"},
):
    print(json.dumps(fields), file=sys.stderr, flush=True)
time.sleep(60)
"""


async def test_addresses_are_those_that_the_server_logs() -> None:
    async with server_process(sys.executable, "-c", _SERVER) as process:
        addresses = process.addresses

    assert {"data": "127.0.0.1:1", "admin": "127.0.0.1:2"} == addresses


async def test_the_process_ends_with_its_context() -> None:
    async with server_process(sys.executable, "-c", _SERVER) as process:
        alive = psutil.pid_exists(process.pid)

    assert (True, False) == (alive, psutil.pid_exists(process.pid))


async def test_a_server_that_fails_is_reported_with_what_it_said() -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        async with server_process(sys.executable, "-c", "raise SystemExit('no such model')"):
            pass
