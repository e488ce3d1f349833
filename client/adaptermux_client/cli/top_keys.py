"""Single keys from a terminal, which is left as it was."""

import os
import select
import sys
import time
from types import TracebackType
from typing import Any, Self

try:
    import termios
    import tty
except ImportError:  # Windows has no such terminals: there are no keys then, and Ctrl-C ends what would read them
    _HAS_TERMIOS = False
else:
    _HAS_TERMIOS = True

_MOST_BYTES = 64
_ESCAPE = "\x1b"


class Keys:
    """Within `with`, keys come one by one, without Return and unseen. Does nothing where stdin isn't a terminal."""

    def __init__(self) -> None:
        self.are_there = _HAS_TERMIOS and sys.stdin.isatty()
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        if self.are_there:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
            # Ctrl-Z would leave the shell with the screen of a program that has stopped.
            attributes = termios.tcgetattr(sys.stdin)
            attributes[6][termios.VSUSP] = bytes([os.fpathconf(sys.stdin.fileno(), "PC_VDISABLE")])
            termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.are_there:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> str:
        """The keys that were pressed, once some are, or after so many seconds; those that write no sign are left out.

        Raises EOFError if the terminal is gone.
        """
        if not self.are_there:
            time.sleep(seconds)
            return ""
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        pressed = os.read(sys.stdin.fileno(), _MOST_BYTES).decode(errors="replace")
        if not pressed:
            raise EOFError
        return "" if pressed.startswith(_ESCAPE) else pressed
