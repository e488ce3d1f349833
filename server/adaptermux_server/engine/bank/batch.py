"""The bank's plan for one forward: which rows are whose, and which weights they need. Modules read it; none sets it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.layout import SiteWeights, Views
from adaptermux_server.engine.bank.workspace import Workspace
from adaptermux_server.types import Kernel


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring rows of one adapter."""

    start: int
    stop: int
    content: BankContent

    @property
    def num_rows(self) -> int:
        """How many they are."""
        return self.stop - self.start


@dataclass(eq=False, slots=True)
class Block:
    """Neighbouring rows that are computed by the same products."""

    start: int
    stop: int
    views: Views
    """Of one adapter; or, with an axis of the block's rows before, of each row's."""
    is_gathered: bool = False
    product: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None
    """The last tensor read by several sites, their joint `a`, and what that made of it."""


@dataclass(eq=False, slots=True)
class BankBatch:
    """Set for one forward. Rows of the base are in no block."""

    num_rows: int
    blocks: Sequence[Block]
    tables: Sequence[Segment]
    """Those of adapters that add to embeddings."""
    kernel: Kernel

    def at(self, index: int) -> list[tuple[Block, SiteWeights]]:
        """The blocks that change something at a site."""
        return [(block, weights) for block in self.blocks if (weights := block.views[index]) is not None]


def order_rows(slots: Sequence[int], contents: Sequence[BankContent | None]) -> list[int]:
    """Positions of the rows so that those of one layout, and within it those of one slot, are neighbours."""
    layouts: dict[int, int] = {}
    keys = [
        (layouts.setdefault(id(content and content.layout), len(layouts)), slot)
        for slot, content in zip(slots, contents, strict=True)
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)


def plan_batch(contents: Sequence[BankContent | None], workspace: Workspace, costs: KernelCosts) -> BankBatch:
    """Plan a forward over rows that are in order (see `order_rows`); None: a row of the base."""
    workspace.begin()
    segments = _segments(contents)
    groups = [tuple(group) for _, group in groupby(segments, key=lambda segment: segment.content.layout)]
    blocks = [block for group in groups for block in _blocks(group, workspace, costs)]
    tables = [segment for segment in segments if segment.content.tables]
    return BankBatch(len(contents), blocks, tables, _kernel(len(segments), blocks))


def _segments(contents: Sequence[BankContent | None]) -> list[Segment]:
    """The runs of rows of one adapter; rows of the base are left out."""
    segments, start = [], 0
    for _, run in groupby(contents, key=id):
        stop = start + len(tuple(run))
        content = contents[start]
        if content is not None:
            segments.append(Segment(start, stop, content))
        start = stop
    return segments


def _blocks(group: Sequence[Segment], workspace: Workspace, costs: KernelCosts) -> list[Block]:
    """The blocks for segments of one layout."""
    layout = group[0].content.layout
    num_rows = group[-1].stop - group[0].start
    if not layout.num_adapted:
        return []
    if workspace.has_room(layout, num_rows) and costs.prefer_gathering(layout, num_rows, len(group)):
        rows = [segment.content for segment in group for _ in range(segment.num_rows)]
        return [Block(group[0].start, group[-1].stop, workspace.gather(rows), is_gathered=True)]
    return [Block(segment.start, segment.stop, segment.content.views) for segment in group]


def _kernel(num_segments: int, blocks: Sequence[Block]) -> Kernel:
    if num_segments < 2:
        return Kernel.UNIFORM if num_segments else Kernel.BASE
    return Kernel.GATHERED if any(block.is_gathered for block in blocks) else Kernel.SEGMENTS
