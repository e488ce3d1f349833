"""What takes the place of a site's forward: the base's own computation, and what the batch's adapters add to it.

A module keeps its class, its weights and its name, so that code which looks at it sees what it knows. It reads the
batch from the one `Cell` of its tree; outside of a batch, or where no row changes anything, it is the base.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn import functional

from adaptermux_server.engine.bank.batch import BankBatch, Block, Segment
from adaptermux_server.engine.bank.content import DTYPE
from adaptermux_server.engine.bank.layout import SiteWeights
from adaptermux_server.engine.bank.sites import Site

_Touching = Sequence[tuple[Block, SiteWeights]]


class Cell:
    """Holds the batch that is being computed, if any."""

    batch: BankBatch | None = None

    @contextmanager
    def computing(self, batch: BankBatch) -> Iterator[None]:
        """Set the batch for one forward, whatever becomes of that."""
        self.batch = batch
        try:
            yield
        finally:
            self.batch = None


def adapt(site: Site, cell: Cell) -> None:
    """Put the bank into a module."""
    base: Callable[[torch.Tensor], torch.Tensor] = site.module.forward
    adapted = _adapted_embedding(site, cell, base) if site.is_embedding else _adapted_linear(site, cell, base)
    # An attribute of the instance goes before the method of its class.
    site.module.forward = adapted


def _adapted_linear(
    site: Site, cell: Cell, base: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(x: torch.Tensor) -> torch.Tensor:
        batch = cell.batch
        touching = batch.at(site.index) if batch else ()
        if not batch or not touching:
            return base(x)
        _check_rows(site, batch, x)
        y = base(_scaled_input(x, touching))
        # [rows, tokens, features], also of a module that reads one vector a row.
        x3, y3 = x.reshape(batch.num_rows, -1, x.shape[-1]), y.view(batch.num_rows, -1, y.shape[-1])
        for block, weights in touching:
            _add(block, weights, x, x3[block.start : block.stop], y3[block.start : block.stop])
        return y

    return forward


def _adapted_embedding(
    site: Site, cell: Cell, base: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[torch.Tensor], torch.Tensor]:
    def forward(ids: torch.Tensor) -> torch.Tensor:
        y = base(ids)
        batch = cell.batch
        if batch and batch.tables:
            _check_rows(site, batch, ids)
            for segment in batch.tables:
                _look_up(segment, site.index, ids, y)
        return y

    return forward


def _check_rows(site: Site, batch: BankBatch, x: torch.Tensor) -> None:
    if x.shape[0] != batch.num_rows:
        raise RuntimeError(f"{site.name} got {x.shape[0]} rows in a batch of {batch.num_rows}: it can't be in the bank")


def _scaled_input(x: torch.Tensor, touching: _Touching) -> torch.Tensor:
    """i ⊙ x, where any adapter has an i."""
    if all(weights.input_scale is None for _, weights in touching):
        return x
    scaled = x.clone()
    for block, weights in touching:
        if weights.input_scale is not None:
            rows = scaled[block.start : block.stop]
            # In the adapters' type, then rounded, as PEFT does.
            rows.copy_(rows * _by_row(weights.input_scale, block, rows.dim()))
    return scaled


def _add(block: Block, weights: SiteWeights, x: torch.Tensor, x3: torch.Tensor, y3: torch.Tensor) -> None:
    """y = o ⊙ (y + B A x) + c, in place; `x3` and `y3` are the block's rows, [rows, tokens, features]."""
    total = y3.to(DTYPE)
    if weights.b is not None:
        product = _joint_product(block, weights, x, x3)
        _add_product(product[..., weights.start : weights.stop], weights.b, total)
    if weights.output_scale is not None:
        total *= _by_row(weights.output_scale, block, 3)
    if weights.shift is not None:
        total += _by_row(weights.shift, block, 3)
    if total is not y3:
        y3.copy_(total)


def _joint_product(block: Block, weights: SiteWeights, x: torch.Tensor, x3: torch.Tensor) -> torch.Tensor:
    """A x for all sites that read `x`, computed at the first of them. [rows, tokens, joint rank]; flat if uniform."""
    assert weights.a is not None, "by the layout"
    # The same tensor may be read once more by sites with another `a`, as where attention and MLP stand side by side.
    if block.product is not None and block.product[0] is x and block.product[1] is weights.a:
        return block.product[2]
    x3 = x3.to(DTYPE)
    product = torch.bmm(x3, weights.a.mT) if block.is_gathered else x3.flatten(0, 1) @ weights.a.T
    if weights.is_shared:
        block.product = (x, weights.a, product)
    return product


def _add_product(product: torch.Tensor, b: torch.Tensor, total: torch.Tensor) -> None:
    """total += product Bᵀ, in place."""
    if b.dim() == 3:
        total.baddbmm_(product, b.mT)
    else:
        total.view(-1, total.shape[-1]).addmm_(product, b.T)


def _look_up(segment: Segment, index: int, ids: torch.Tensor, y: torch.Tensor) -> None:
    table = segment.content.tables.get(index)
    if table is not None:
        rows = slice(segment.start, segment.stop)
        y[rows] += (functional.embedding(ids[rows], table.a) @ table.b.T).to(y.dtype)


def _by_row(vectors: torch.Tensor, block: Block, num_axes: int) -> torch.Tensor:
    """A vector for all rows as it is; one for each row with axes for what lies between rows and features."""
    return vectors.view(vectors.shape[0], *(1,) * (num_axes - 2), -1) if block.is_gathered else vectors
