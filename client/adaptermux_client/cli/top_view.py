"""The screen of `adaptermux top`: pure, from a picture to something that rich prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from adaptermux_client.admin_results import MemoryStatus
from adaptermux_client.batch_results import BatchInfo
from adaptermux_client.cli.output import plain
from adaptermux_client.cli.top_figures import AdapterLoad, Picture, Sort, sorted_loads
from adaptermux_client.cli.trace_events import BASE_MODEL
from adaptermux_client.cli.units import size, span_of_time

_COLOURS = (39, 208, 77, 170, 220, 44, 203, 141, 113, 215, 69, 168)
_STATE_STYLES = {"READY": "green", "FAILED": "bold red", "gone": "dim"}
_NUM_OTHER_LINES = 9  # but for the strip and the adapters
_MIN_STRIP, _MAX_STRIP = 3, 8
_MIN_SHARE = 11
_GAP = 2
_WAIT_FROM_WIDTH = 96
_NUMBERS = ("ROWS/S", "P99 WAIT", "FLIGHT", "QUEUED")


@dataclass(frozen=True, slots=True)
class Screen:
    """How and where it is shown."""

    width: int
    height: int | None
    """None: as many lines as there are adapters."""
    has_colours: bool
    address: str
    model: str
    """Empty: not known."""
    now: datetime
    sort: Sort = Sort.LOAD
    is_paused: bool = False
    lost: str = ""
    """Why the server can't be reached; empty: it can."""
    has_keys: bool = True


def draw(picture: Picture, screen: Screen) -> RenderableType:
    """The whole screen, of exactly the screen's height if it has one."""
    strip = _strip(picture, screen)
    room = None if screen.height is None else screen.height - _NUM_OTHER_LINES - len(strip)
    table, num_hidden = _table(picture, screen, room)
    lines = [_title(picture, screen), *_figures(picture), _heading(picture, screen), *strip, Text()]
    for line in lines:
        line.truncate(screen.width, overflow="ellipsis")
    return Group(*lines, table, *([_keys(screen, num_hidden)] if screen.height else []))


def _title(picture: Picture, screen: Screen) -> Text:
    status = picture.status
    up = f"up {span_of_time((screen.now - status.start_time).total_seconds())}" if status.start_time else ""
    facts = [fact for fact in (screen.model, screen.address, up) if fact]
    line = Text(f"AdapterMux {status.version}", style="bold")
    line.append_text(Text("  ").append_text(plain(" · ".join(facts))))
    if screen.lost:
        line = Text(" connection lost, trying again ", style="bold reverse red").append_text(plain(f" {screen.lost}"))
    elif screen.is_paused:
        line.append("  ").append(" paused ", style="reverse")
    return line


def _figures(picture: Picture) -> list[Text]:
    made, naive = picture.status.num_traversals, picture.status.num_traversals_in_arrival_order
    return [
        _line(
            ("rows/s", f"{picture.rows_per_second:,.0f}"),
            ("wait p50", _milliseconds(picture.wait_p50_seconds)),
            ("p99", _milliseconds(picture.wait_p99_seconds)),
            ("queued", f"{picture.status.num_rows_queued:,}"),
            ("padding", f"{picture.padding_share:.0%}"),
        ),
        _line(
            ("forwards/s", f"{picture.forwards_per_second:,.1f} of {picture.rows_per_forward:.1f} rows"),
            ("traversals", f"{made:,} made, {max(0, naive - made):,} avoided"),
        ),
        _line(("kernels", _kernels(picture.kernels))),
        _line(*_memory(picture.status.memory, picture.status.adapters_by_tier)),
    ]


def _line(*facts: tuple[str, str]) -> Text:
    line = Text()
    for name, value in facts:
        line.append(f"{name} ", style="dim").append(value, style="bold").append("   ")
    line.rstrip()
    return line


def _memory(memory: MemoryStatus, adapters: Mapping[str, int]) -> list[tuple[str, str]]:
    sizes = {
        "device": _bounded(memory.adapter_bytes, memory.adapter_bytes_limit),
        "host": _bounded(memory.host_adapter_bytes, memory.host_adapter_bytes_limit),
        "disk": size(memory.store_bytes),
    }
    tiers = [(tier, f"{adapters.get(tier.upper(), 0):,}, {amount}") for tier, amount in sizes.items()]
    return [*tiers, ("process", size(memory.resident_bytes))]


def _bounded(num_bytes: int, limit: int) -> str:
    return f"{size(num_bytes)}/{size(limit)}" if limit else size(num_bytes)


def _kernels(kernels: Mapping[str, int]) -> str:
    total = sum(kernels.values())
    ranked = sorted(kernels.items(), key=lambda item: (-item[1], item[0]))
    return " · ".join(f"{kernel or 'failed'} {count / total:.0%}" for kernel, count in ranked) or "–"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _heading(picture: Picture, screen: Screen) -> Text:
    shown = picture.strip[-screen.width :]
    largest = max((len(batch.rows) for batch in shown), default=0)
    told = f"last {len(shown):,} forwards, a column each, up to {largest:,} rows" if shown else "no forwards yet"
    return Text(f"── {told} ".ljust(screen.width, "─"), style="dim")


def _strip(picture: Picture, screen: Screen) -> list[Text]:
    """The last forwards as columns: as high as they have rows, coloured by adapter; the newest is on the right."""
    height = max(_MIN_STRIP, min(_MAX_STRIP, (screen.height or 0) // 6))
    shown = picture.strip[-screen.width :]
    largest = max((len(batch.rows) for batch in shown), default=1)
    columns: list[list[int]] = [[]] * (screen.width - len(shown))
    columns += [_column(batch, picture.numbers, 2 * height, largest) for batch in shown]
    return [_cells(columns, 2 * (height - 1 - line), screen.has_colours) for line in range(height)]


def _column(batch: BatchInfo, numbers: Mapping[str, int], height: int, largest: int) -> list[int]:
    """The colours of a forward's half cells, from below."""
    colours = sorted(numbers.get(row.adapter_id, 0) for row in batch.rows)
    filled = max(1, round(height * len(colours) / largest))
    return [colours[int((place + 0.5) * len(colours) / filled)] for place in range(filled)]


def _cells(columns: Sequence[Sequence[int]], lower: int, has_colours: bool) -> Text:
    """One line: the half cells `lower` and the one above it of each column."""
    line = Text()
    for column in columns:
        below, above = (column[place] if place < len(column) else None for place in (lower, lower + 1))
        if below is None:
            line.append(" ")
        elif above is None:
            line.append("▄", style=_colour(below))
        elif above == below or not has_colours:
            line.append("█", style=_colour(below))
        else:
            line.append("▀", style=f"{_colour(above)} on {_colour(below)}")
    return line


def _colour(number: int) -> str:
    return f"color({_COLOURS[number % len(_COLOURS)]})"


def _table(picture: Picture, screen: Screen, room: int | None) -> tuple[Table, int]:
    """The adapters, as many as there is room for, and how many more there are."""
    loads = sorted_loads([load for load in picture.loads if load.id or load.rows_per_second], screen.sort)
    shown = loads if room is None else loads[: max(0, room)]
    columns = _columns(screen, max((len(load.id or BASE_MODEL) for load in loads), default=0))
    grid = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", width=screen.width)
    for name, width in columns.items():
        grid.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True, width=width)
    largest = max((load.share for load in loads), default=0.0) or 1.0
    for load in shown:
        cells = _cells_of(load, (columns["SHARE"] - len("100% ")) / largest)
        grid.add_row(*(cells[name] for name in columns))
    for _ in range(0 if room is None else room - len(shown)):
        grid.add_row("")
    return grid, len(loads) - len(shown)


def _columns(screen: Screen, longest_name: int) -> dict[str, int]:
    """Columns with their widths; what is left is the shares'."""
    widths = {"ROWS/S": 7, "P99 WAIT": 8, "FLIGHT": 6, "QUEUED": 6, "TIER": 6, "STATE": 8, "EXEC": 6}
    if screen.width < _WAIT_FROM_WIDTH:
        del widths["P99 WAIT"]
    left = screen.width - sum(widths.values()) - _GAP * (len(widths) + 1)
    name = max(len("ADAPTER"), min(longest_name + len("■ "), left - _MIN_SHARE))
    return {"ADAPTER": name, **widths, "SHARE": left - name}


def _cells_of(load: AdapterLoad, width_of_all: float) -> dict[str, Text]:
    """`width_of_all`: of the bar of an adapter that had all rows."""
    colour = _colour(load.number)
    half_cells = round(2 * load.share * width_of_all)
    bar = "━" * (half_cells // 2) + "╸" * (half_cells % 2)
    return {
        "ADAPTER": Text("■ ", style=colour).append_text(plain(load.id or BASE_MODEL, "" if load.id else "italic")),
        "ROWS/S": Text(f"{load.rows_per_second:,.1f}", style="bold" if load.rows_per_second else "dim"),
        "P99 WAIT": Text(_milliseconds(load.wait_p99_seconds) if load.rows_per_second else "–"),
        "FLIGHT": _count(load.num_in_flight),
        "QUEUED": _count(load.num_queued),
        "TIER": Text(load.tier),
        "STATE": Text(load.state, style=_STATE_STYLES.get(load.state, "yellow")),
        "EXEC": Text(load.executor),
        "SHARE": Text(f"{load.share:4.0%} ").append(bar, style=colour),
    }


def _count(number: int) -> Text:
    return Text(f"{number:,}", style="" if number else "dim")


def _keys(screen: Screen, num_hidden: int) -> Text:
    keys = [("q", "quit"), ("s", f"sorted by {screen.sort}"), ("p", "go on" if screen.is_paused else "pause")]
    line = Text()
    for key, what in keys if screen.has_keys else ():
        line.append(f" {key} ", style="reverse").append(f" {what}   ")
    if num_hidden:
        line.append(f"{num_hidden:,} more adapters", style="dim")
    line.truncate(screen.width, overflow="ellipsis")
    return line
