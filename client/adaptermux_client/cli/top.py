"""`adaptermux top`: who loads the server, on a screen that goes on."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from adaptermux_client.channel import DEFAULT_ADDRESS
from adaptermux_client.cli import options
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client, data_client
from adaptermux_client.cli.output import show
from adaptermux_client.cli.top_figures import Picture
from adaptermux_client.cli.top_keys import Keys
from adaptermux_client.cli.top_source import Source
from adaptermux_client.cli.top_view import Screen, draw
from adaptermux_client.errors import AdapterMuxClientError

_LONGEST_NAP = 0.25
"""Seconds: a screen of another size is drawn anew after no more."""
_PIPE_WIDTH = 120
_MODEL_SECONDS = 2.0
_ENDING_SIGNALS = ("SIGTERM", "SIGHUP")  # Windows lacks the second


def top(
    *,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=60.0, help="Between two pictures.")
    ] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Watch for one interval, print one picture, and end. So too into a pipe.")
    ] = False,
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            envvar="ADAPTERMUX_ADDRESS",
            metavar="HOST:PORT",
            help="The data listener, to name the model.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show who loads the server: rows, waits, forwards and adapters, of the last ten seconds.

    Each column of the strip is a forward: as high as it had rows, in the colours of their adapters. Keys: **q** quits,
    **s** sorts by another column, **p** pauses. `NO_COLOR` is respected.
    """
    is_screen = sys.stdout.isatty() and not once
    with reporting(admin_address), admin_client(admin_address) as client, Source(client, interval) as source:
        model = _model(_data_address(address, admin_address))
        if is_screen:
            _follow(source, interval, admin_address, model)
        else:
            time.sleep(interval)
            console = Console()
            width = console.width if sys.stdout.isatty() else _PIPE_WIDTH
            screen = Screen(width, None, not console.no_color, admin_address, model, datetime.now(UTC))
            show(draw(source.picture(), replace(screen, lost=source.lost)))


def _follow(source: Source, interval: float, address: str, model: str) -> None:
    """Draw until a key, a signal or the end of the terminal ends it; the terminal is then as it was."""
    console = Console(highlight=False)
    with ExitStack() as stack:
        stack.enter_context(_ending_in_order())
        keys = stack.enter_context(Keys())
        live = stack.enter_context(Live(console=console, screen=True, auto_refresh=False))
        view = _View(live, address, model, keys.are_there)
        while True:
            view.picture = view.picture if view.is_paused and view.picture else source.picture()
            view.draw(source.lost)
            if not _go_on(view, keys, interval):
                return


class _View:
    """What the keys change, and the picture that is shown."""

    def __init__(self, live: Live, address: str, model: str, has_keys: bool) -> None:
        width, height = live.console.size
        has_colours = not live.console.no_color
        self.picture: Picture | None = None
        self._live = live
        self._screen = Screen(width, height, has_colours, address, model, datetime.now(UTC), has_keys=has_keys)

    @property
    def is_paused(self) -> bool:
        return self._screen.is_paused

    @property
    def is_of_another_size(self) -> bool:
        return tuple(self._live.console.size) != (self._screen.width, self._screen.height)

    def draw(self, lost: str) -> None:
        width, height = self._live.console.size
        self._screen = replace(self._screen, width=width, height=height, now=datetime.now(UTC), lost=lost)
        if self.picture:
            self._live.update(draw(self.picture, self._screen), refresh=True)

    def press(self, key: str) -> None:
        match key:
            case "s":
                self._screen = replace(self._screen, sort=self._screen.sort.next)
            case "p":
                self._screen = replace(self._screen, is_paused=not self._screen.is_paused)


def _go_on(view: _View, keys: Keys, interval: float) -> bool:
    """Wait until there is something to draw; False: it is over."""
    end = time.monotonic() + interval
    while (left := end - time.monotonic()) > 0 and not view.is_of_another_size:
        try:
            pressed = keys.wait(min(left, _LONGEST_NAP))
        except EOFError:
            return False
        if "q" in pressed:
            return False
        for key in pressed:
            view.press(key)
        if pressed:
            break
    return True


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Signals that end a process end it by an exception, so that the terminal is put in order first."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in _ENDING_SIGNALS if hasattr(signal, name)]
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _data_address(address: str | None, admin_address: str) -> str:
    """Beside an admin listener elsewhere, the default data listener may be another server's."""
    return address or (DEFAULT_ADDRESS if admin_address == options.ADMIN_ADDRESS else "")


def _model(address: str) -> str:
    """Name of the base model; empty where nobody tells it."""
    if not address:
        return ""
    try:
        with data_client(address, _MODEL_SECONDS) as client:
            return client.model().model_id
    except AdapterMuxClientError:
        return ""
