"""A caller, what they may do, and who calls now."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

BASE = "base"
"""The base model in an allow-list; no adapter can have this id."""

_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\*?|\*")


class Role(StrEnum):
    """What a caller is trusted with."""

    INFER = "infer"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Whether this role may do what `needed` may. Who may load any adapter may use it too."""
        return self in (needed, Role.ADMIN)


class AllowList:
    """Names that a caller may use: ids and aliases, or how they begin with a * after it.

    Raises ValueError, which doesn't repeat what it is given.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        for index, pattern in enumerate(patterns):
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(f"entry {index} is neither an id nor the beginning of one with a * after it")
        self._names = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))

    def __contains__(self, name: object) -> bool:
        # The base isn't one of the adapters whose names happen to begin with "b".
        by_beginning = ("" in self._beginnings) if name == BASE else str(name).startswith(self._beginnings)
        return name in self._names or by_beginning


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a token."""

    name: str
    role: Role
    adapters: AllowList | None = None
    """None: all, and the base."""

    def may_use(self, name: str) -> bool:
        """Whether the name of an adapter or an alias, or BASE, is theirs to use."""
        return self.adapters is None or name in self.adapters


current_caller: ContextVar[Caller | None] = ContextVar("current_caller", default=None)
"""Of the call that this task, or the one that made it, serves; None: nobody asked who it is."""
