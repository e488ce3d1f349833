"""Memory for adapters: what is in the engine, how much of it there may be, and what host memory keeps beside it."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from adaptermux_server.adapters.hosts import PreparedAdapter
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.types import Tier


@dataclass(frozen=True, slots=True)
class TierLimits:
    """How much may be in memory; None: as much as comes."""

    device_adapters: int | None = None
    """Adapters in the engine."""
    device_bytes: int | None = None
    """Their tensors."""
    host_bytes: int | None = None
    """Tensors of adapters that are in host memory and not in the engine."""


class DeviceRoom:
    """Who has a place in the engine, or will have, in the order of last use; and whether there is room for more."""

    def __init__(self, limits: TierLimits) -> None:
        self._limits = limits
        self._sizes: OrderedDict[ServedAdapter, int] = OrderedDict()
        self.num_bytes = 0
        """Of all that have a place."""

    def __contains__(self, served: ServedAdapter) -> bool:
        return served in self._sizes

    def put(self, served: ServedAdapter) -> None:
        """Give a place, or note a new size."""
        size_bytes = served.spec.size_bytes
        self.num_bytes += size_bytes - self._sizes.get(served, 0)
        self._sizes[served] = size_bytes

    def take(self, served: ServedAdapter) -> None:
        """Free a place, if there is one."""
        self.num_bytes -= self._sizes.pop(served, 0)

    def touch(self, served: ServedAdapter) -> None:
        """Note that an adapter which has a place is used now."""
        self._sizes.move_to_end(served)

    def missing(self, wanted: Iterable[ServedAdapter]) -> list[ServedAdapter]:
        """Those that have no place."""
        return [served for served in wanted if served not in self._sizes]

    def has_room_for(self, wanted: Collection[ServedAdapter]) -> bool:
        """Whether what is missing fits without anybody's leaving."""
        return self.leavers(wanted) == []

    def leavers(self, wanted: Collection[ServedAdapter]) -> list[ServedAdapter] | None:
        """Who has to leave for what is missing; None: it doesn't fit beside the pinned, whoever leaves.

        Those that can leave at once come first, then those that were used longest ago.
        """
        missing = self.missing(wanted)
        num_adapters = len(self._sizes) + len(missing)
        num_bytes = self.num_bytes + sum(served.spec.size_bytes for served in missing)
        leavers: list[ServedAdapter] = []
        others = self._replaceable(wanted)
        while not self._is_enough_for(num_adapters, num_bytes):
            served = next(others, None)
            if served is None:
                return None
            leavers.append(served)
            num_adapters, num_bytes = num_adapters - 1, num_bytes - self._sizes[served]
        return leavers

    def first_to_leave(self) -> ServedAdapter | None:
        """Who would leave next, if somebody can at once."""
        first = next(self._replaceable(()), None)
        return first if first is not None and can_leave(first) else None

    def _is_enough_for(self, num_adapters: int, num_bytes: int) -> bool:
        return _within(num_adapters, self._limits.device_adapters) and _within(num_bytes, self._limits.device_bytes)

    def _replaceable(self, wanted: Collection[ServedAdapter]) -> Iterator[ServedAdapter]:
        """Found as far as they are asked for: mostly the first will do, and there may be thousands."""
        for at_once in (True, False):
            for served in self._sizes:
                if can_leave(served) is at_once and not served.options.pinned and served not in wanted:
                    yield served


class HostCache:
    """Prepared adapters that are not in the engine; beyond the limit, those that came first are dropped."""

    def __init__(self, max_bytes: int | None) -> None:
        self._max_bytes = max_bytes
        self._prepared: OrderedDict[ServedAdapter, PreparedAdapter] = OrderedDict()
        self.num_bytes = 0
        """Of all tensors kept."""

    def __contains__(self, served: ServedAdapter) -> bool:
        return served in self._prepared

    def get(self, served: ServedAdapter) -> PreparedAdapter | None:
        """What is kept of an adapter."""
        return self._prepared.get(served)

    def put(self, served: ServedAdapter, prepared: PreparedAdapter) -> None:
        """Keep an adapter that left the engine, if it fits at all. (Who came first was used longest ago.)"""
        self.take(served)
        self._prepared[served] = prepared
        served.tier = Tier.HOST
        self.num_bytes += prepared.spec.size_bytes
        while not _within(self.num_bytes, self._max_bytes):
            self.take(next(iter(self._prepared)))

    def take(self, served: ServedAdapter) -> None:
        """Drop an adapter, if it is there."""
        prepared = self._prepared.pop(served, None)
        if prepared is not None:
            served.tier = Tier.DISK
            self.num_bytes -= prepared.spec.size_bytes


def can_leave(served: ServedAdapter) -> bool:
    """Whether one that has a place is in the engine already, and nobody holds it there."""
    return served.slot is not None and not served.num_holds


def _within(number: int, limit: int | None) -> bool:
    return limit is None or number <= limit
