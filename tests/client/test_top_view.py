"""The screen of `adaptermux top`, from scripted forwards."""

import io
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from adaptermux.v1 import adapter_admin_pb2 as pb
from adaptermux_client import AdapterInfo, convert_admin
from adaptermux_client.cli.top_figures import WINDOW_SECONDS, Picture, Sort, Window, percentile, sorted_loads
from adaptermux_client.cli.top_view import Screen, draw
from adaptermux_client.convert_batches import watched_batches
from tests.client.fake_answers import POS, SENTIMENT, server_status
from tests.client.watched import batch, row, told

STATUS = convert_admin.server_status(server_status())
ADAPTERS = [convert_admin.adapter_info(message) for message in (POS, SENTIMENT)]
SCREEN = Screen(80, 24, True, "host:50052", "all-MiniLM-L6-v2", datetime.fromtimestamp(1_700_000_060, UTC))
MIXED = batch(
    *[row("sentiment", 10, waited_us=2_000)] * 6, row("pos", 20, waited_us=9_000), row("", 10), kernel="segments"
)


def picture(
    *responses: pb.WatchBatchesResponse, adapters: list[AdapterInfo] = ADAPTERS, seconds: float = 2.0
) -> Picture:
    """After so many seconds, at whose end all of this was told."""
    window = Window(began=100.0)
    for response in responses:
        window.add(watched_batches(response), 100.0 + seconds)
    return window.picture(STATUS, adapters, 100.0 + seconds)


def shown(picture: Picture, screen: Screen = SCREEN) -> list[str]:
    """The lines of the screen."""
    console = Console(width=screen.width, record=True, file=io.StringIO())
    console.print(draw(picture, screen))
    return console.export_text().splitlines()


def line_of(lines: list[str], adapter: str) -> list[str]:
    """The words of an adapter's line in the table."""
    [line] = [line for line in lines if line.startswith(f"■ {adapter} ")]
    return line.split()[1:]


def test_the_head_tells_of_the_last_seconds() -> None:
    """Rows, waits, forwards and padding are of the window; tiers and traversals are the server's."""
    lines = shown(picture(told(MIXED), told(batch(row("pos", 20, waited_us=1_000)))))

    assert "AdapterMux 0.1.0  all-MiniLM-L6-v2 · host:50052 · up 1 min 0 s" == lines[0].rstrip()
    assert ["rows/s", "4", "wait", "p50", "2.0", "ms", "p99", "9.0", "ms", "queued", "3", "padding", "39%"] == lines[
        1
    ].split()
    assert "forwards/s 1.0 of 4.5 rows   traversals 12 made, 468 avoided" == lines[2].rstrip()
    assert "kernels segments 50% · uniform 50%" == lines[3].rstrip()
    assert "device 1, 685.9 KiB/1.0 MiB   host 0, 1.3 MiB   disk 1, 4.8 MiB   process 572.2…" == lines[4].rstrip()


def test_the_table_has_the_busiest_first() -> None:
    """The base model is among them as soon as it has rows; shares are of all rows."""
    lines = shown(picture(told(MIXED)))

    assert ["sentiment", "3.0", "0", "0", "READY", "bank", "75%", "━━━━━━━━━━"] == line_of(lines, "sentiment")
    assert ["pos", "0.5", "0", "3", "READY", "switch", "12%", "━╸"] == line_of(lines, "pos")
    assert ["base", "model", "0.5", "0", "0", "12%", "━╸"] == line_of(lines, "base model")
    order = [line.split()[1] for line in lines if line.startswith("■")]
    assert ["sentiment", "base", "pos"] == order
    assert not any(line.startswith("■ base") for line in shown(picture()))


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        (Sort.LOAD, ["sentiment", "", "pos"]),
        (Sort.QUEUED, ["pos", "", "sentiment"]),
        (Sort.WAIT, ["pos", "sentiment", ""]),
        (Sort.NAME, ["", "pos", "sentiment"]),
    ],
)
def test_what_it_is_sorted_by(sort: Sort, order: list[str]) -> None:
    """By name among equals."""
    assert order == [load.id for load in sorted_loads(picture(told(MIXED)).loads, sort)]


def test_the_ways_of_sorting_are_a_cycle() -> None:
    """The key comes back to the first."""
    ways = [Sort.LOAD]
    while ways[-1].next not in ways:
        ways.append(ways[-1].next)

    assert set(Sort) == set(ways)
    assert Sort.LOAD is ways[-1].next


def test_the_strip_is_as_high_as_forwards_have_rows() -> None:
    """The newest is on the right, and each half cell has the colour of an adapter by its share of the rows."""
    lines = shown(picture(told(MIXED, batch(row("pos")))))

    strip = [line[78:] for line in lines[6:10]]
    assert ["▀ ", "█ ", "█ ", "▀▄"] == strip
    assert "last 2 forwards, a column each, up to 8 rows" in lines[5]


def test_without_colours_the_strip_has_no_halves_that_only_colours_tell_apart() -> None:
    """A half block would be a gap."""
    lines = shown(picture(told(MIXED, batch(row("pos")))), replace(SCREEN, has_colours=False))

    assert ["█ ", "█ ", "█ ", "█▄"] == [line[78:] for line in lines[6:10]]


def test_an_adapter_keeps_its_colour_when_another_comes() -> None:
    """In the table and in the strip."""
    window = Window(began=100.0)
    before = window.picture(STATUS, ADAPTERS, 101.0).numbers
    window.add(watched_batches(told(batch(row("aaa"), row("sentiment")))), 102.0)

    after = window.picture(STATUS, [*ADAPTERS, replace(ADAPTERS[0], id="aaa")], 102.0).numbers

    assert before == {name: after[name] for name in before}
    assert len(after) == len(set(after.values()))


def test_what_was_long_ago_is_no_load_any_more() -> None:
    """The strip keeps it."""
    window = Window(began=100.0)
    window.add(watched_batches(told(MIXED)), 101.0)

    later = window.picture(STATUS, ADAPTERS, 101.1 + WINDOW_SECONDS)

    assert (0.0, 0.0, 1) == (later.rows_per_second, later.wait_p99_seconds, len(later.strip))


def test_an_adapter_that_is_gone_is_told_while_its_rows_count() -> None:
    """Its line says so."""
    lines = shown(picture(told(batch(row("left"))), adapters=[]))

    assert ["left", "0.5", "0", "0", "gone", "100%", "━━━━━━━━━━━━━━━"] == line_of(lines, "left")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40), (60, 20), (200, 15)])
def test_the_screen_is_filled_and_not_left(width: int, height: int) -> None:
    """Whatever its size and however many adapters there are; those without room are counted."""
    many = [replace(ADAPTERS[0], id=f"adapter-with-a-long-name-{number:03}") for number in range(50)]
    lines = shown(picture(told(MIXED), adapters=many), replace(SCREEN, width=width, height=height))

    assert height == len(lines)
    assert width >= max(len(line) for line in lines)
    num_shown = sum(line.startswith("■") for line in lines)
    assert num_shown >= 2
    assert f"{53 - num_shown} more adapters"[: width - 45] in lines[-1]


def test_the_last_line_says_what_the_keys_do() -> None:
    """And what they did."""
    lines = shown(picture(), replace(SCREEN, sort=Sort.WAIT, is_paused=True))

    assert "q quit s sorted by wait p go on" == re.sub(" +", " ", lines[-1]).strip()
    assert lines[0].rstrip().endswith("paused")


def test_a_lost_server_is_told_in_the_first_line() -> None:
    """With the reason, and no control characters of it."""
    lines = shown(picture(told(MIXED)), replace(SCREEN, lost="refused\x1b[2J"))

    assert lines[0].startswith(" connection lost, trying again  refused�[2J")


def test_an_idle_server_has_a_screen_too() -> None:
    """No division by nothing."""
    lines = shown(picture())

    assert ["rows/s", "0", "wait", "p50", "0.0", "ms"] == lines[1].split()[:6]
    assert "no forwards yet" in lines[5]
    assert ["pos", "0.0", "0", "3", "READY", "switch", "0%"] == line_of(lines, "pos")


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.0, 0), (1.0, 99)])
def test_percentiles(share: float, value: float) -> None:
    assert value == percentile(list(range(100)), share)
    assert percentile([], share) == 0.0
