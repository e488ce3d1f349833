"""The rules of the Trace Event Format that a viewer relies on, checked over a whole document."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

_REQUIRED = {
    "M": {"args"},
    "X": {"ts", "dur", "cat"},
    "C": {"ts", "args"},
    "b": {"ts", "id2", "cat"},
    "e": {"ts", "id2", "cat"},
    "s": {"ts", "id", "cat"},
    "f": {"ts", "id", "cat", "bp"},
    "i": {"ts", "s"},
}
_METADATA = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


def assert_valid(document: dict[str, Any]) -> None:
    """Assert that a viewer can make tracks, slices and arrows of all of it."""
    events = document["traceEvents"]
    assert "ms" == document["displayTimeUnit"]
    assert all(isinstance(value, str) for value in document["otherData"].values())
    for event in events:
        _assert_formed(event)
    _assert_slices_apart(events)
    _assert_waits_paired(events)
    _assert_arrows_bound(events)
    _assert_named_once(events)


def slices(document: dict[str, Any], track: str) -> list[dict[str, Any]]:
    """Those of a track by its name, as they stand."""
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in document["traceEvents"]
        if event["name"] == "thread_name"
    }
    return [
        event for event in document["traceEvents"] if event["ph"] == "X" and names[event["pid"], event["tid"]] == track
    ]


def _assert_formed(event: dict[str, Any]) -> None:
    assert isinstance(event["name"], str)
    assert event["name"]
    assert isinstance(event["pid"], int)
    assert isinstance(event["tid"], int)
    assert _REQUIRED[event["ph"]] <= event.keys()
    assert isinstance(event.get("ts", 0), int), "whole microseconds"
    assert event.get("dur", 0) >= 0
    if event["ph"] == "C":
        assert all(isinstance(value, int | float) for value in event["args"].values())
    if event["ph"] == "M":
        assert event["name"] in _METADATA


def _assert_slices_apart(events: list[dict[str, Any]]) -> None:
    """Slices of a track may hold each other but not overlap; ours don't hold each other either."""
    by_track = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            by_track[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for found in by_track.values():
        found.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(found))


def _assert_waits_paired(events: list[dict[str, Any]]) -> None:
    begins = {(e["pid"], e["cat"], e["id2"]["local"]): e["ts"] for e in events if e["ph"] == "b"}
    ends = {(e["pid"], e["cat"], e["id2"]["local"]): e["ts"] for e in events if e["ph"] == "e"}
    assert begins.keys() == ends.keys()
    assert sum(e["ph"] == "b" for e in events) == len(begins), "an id is given once"
    assert all(begins[key] <= ends[key] for key in begins)


def _assert_arrows_bound(events: list[dict[str, Any]]) -> None:
    """Each arrow has a beginning and an end, which fall into a slice of their track."""
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    for event in (*starts.values(), *ends.values()):
        place = event["pid"], event["tid"]
        assert any(
            e["ph"] == "X" and (e["pid"], e["tid"]) == place and e["ts"] <= event["ts"] <= e["ts"] + e["dur"]
            for e in events
        )
    # Perfetto numbers the arrows of "s" and "f" itself, from 0 on, in one space with those of `bind_id`.
    assert all(int(e["bind_id"], 16) >= len(events) for e in events if "bind_id" in e)
    out = [e["bind_id"] for e in events if e.get("flow_out")]
    into = [e["bind_id"] for e in events if e.get("flow_in")]
    assert len(set(out)) == len(out)
    assert sorted(out) == sorted(into)


def _assert_named_once(events: list[dict[str, Any]]) -> None:
    """Every track that has slices or waits, and its process."""
    names = [(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"]
    assert len(set(names)) == len(names)
    assert {(e["pid"], e["tid"]) for e in events if e["ph"] != "M"} <= set(names)
    assert {e["pid"] for e in events} == {e["pid"] for e in events if e["name"] == "process_name"}
