"""Memory for gathered weights: a copy of its adapter's flat tensor for each row of a block."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from adaptermux_server.engine.bank.content import DTYPE, BankContent
from adaptermux_server.engine.bank.layout import Layout, Views

_LIMIT_BYTES = 64 << 20
_MAX_CACHED_VIEWS = 256


@dataclass(frozen=True, slots=True)
class _Place:
    layout: Layout
    num_rows: int
    offset: int


class Workspace:
    """One tensor that grows to what batches need, up to a limit, and then is used again and again."""

    def __init__(self, device: torch.device, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._flat = torch.empty(0, dtype=DTYPE, device=device)
        self._limit = limit_bytes // DTYPE.itemsize
        self._used = 0
        self._held: dict[int, tuple[BankContent, ...]] = {}
        """What lies at an offset, so that the same rows needn't be copied again."""
        self._views: dict[_Place, Views] = {}

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self._flat.device

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return self._flat.nbytes

    def begin(self) -> None:
        """Start a new batch: the whole room may be used again."""
        self._used = 0

    def has_room(self, layout: Layout, num_rows: int) -> bool:
        """Whether so many copies can still be gathered for this batch."""
        return self._used + layout.size * num_rows <= self._limit

    def gather(self, contents: Sequence[BankContent]) -> Views:
        """Copy the weights of each row, [rows, …] in each view. All must have one layout, and `has_room`."""
        layout, start = contents[0].layout, self._used
        stop = start + layout.size * len(contents)
        self._reserve(stop)
        rows = self._flat[start:stop].view(len(contents), layout.size)
        if self._held.get(start) != tuple(contents):
            self._forget(start, stop)
            torch.stack([content.flat for content in contents], out=rows)
            self._held[start] = tuple(contents)
        self._used = stop
        return self._views_of(_Place(layout, len(contents), start), rows)

    def forget(self, content: BankContent) -> None:
        """Let go of an adapter that is about to be freed."""
        self._held = {offset: held for offset, held in self._held.items() if content not in held}

    def _forget(self, start: int, stop: int) -> None:
        """Drop what is known of a range about to be written. What begins before it is of this batch, and ends there."""
        self._held = {offset: held for offset, held in self._held.items() if not start <= offset < stop}

    def _reserve(self, size: int) -> None:
        if size > self._flat.numel():
            grown = torch.empty(
                min(self._limit, max(size, 2 * self._flat.numel())), dtype=DTYPE, device=self._flat.device
            )
            # Views handed out for this batch keep the old tensor alive until it is computed.
            self._flat = grown
            self._held.clear()
            self._views.clear()

    def _views_of(self, place: _Place, rows: torch.Tensor) -> Views:
        views = self._views.get(place)
        if views is None:
            if len(self._views) >= _MAX_CACHED_VIEWS:
                self._views.clear()
            views = self._views[place] = place.layout.views(rows)
        return views
