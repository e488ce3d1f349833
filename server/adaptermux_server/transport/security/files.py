"""Files that an operator changes while the server runs: what they hold is used once all of it is right."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

import structlog

MAX_BYTES = 1 << 20
_log = structlog.get_logger(__name__)
_Content = TypeVar("_Content")
_Value = TypeVar("_Value")


class SecurityFileError(Exception):
    """A file of tokens or certificates can't be used; the message has nothing of what it holds."""


class Reloaded(Generic[_Content, _Value]):
    """The value of files as they were when it could last be made. Any thread may refresh it.

    Contents are compared rather than times: they are small, and two changes may fall into one tick of a clock.
    """

    def __init__(self, what: str, read: Callable[[], _Content], parse: Callable[[_Content], _Value]) -> None:
        """`read` and `parse` raise SecurityFileError, and so does this. `what`: names the files in the log."""
        self._what, self._read, self._parse = what, read, parse
        self._lock = Lock()
        self._complaint = ""
        self._tried = read()
        self.value = parse(self._tried)

    def refresh(self) -> bool:
        """Look at the files again; returns whether there is a new value. What is wrong with them is logged, once."""
        with self._lock:
            try:
                content = self._read()
                if content == self._tried:
                    return False
                self._tried = content
                self.value = self._parse(content)
            except SecurityFileError as error:
                self._complain(str(error))
                return False
            self._complaint = ""
        _log.info("read anew", what=self._what)
        return True

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            _log.error("can't be read anew, what was read before stays in force", what=self._what, problem=complaint)
        self._complaint = complaint
