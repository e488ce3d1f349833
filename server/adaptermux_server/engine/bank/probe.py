"""The promise that rows in one batch don't touch each other, put to the test before the bank serves anybody."""

from collections.abc import Callable

import torch
from torch import nn

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.layout import SiteWeights
from adaptermux_server.engine.bank.sites import probe_rows
from adaptermux_server.engine.collate import Columns, collate
from adaptermux_server.engine.forms import LowRank
from adaptermux_server.engine.padding import close

_RANK = 2
_STRENGTH = 0.05


def bank_holds(bank: Bank, backbone: Backbone) -> bool:
    """Whether two made-up adapters on all linear sites, and the base, answer side by side as each does alone.

    Alone they are computed by hooks, so that nothing which the bank shares, skips or changes in place goes unseen.
    """
    contents = [_made_up(bank, seed) for seed in (0, 1)]
    whose: list[BankContent | None] = [contents[0], contents[1], None]
    rows = probe_rows(backbone, len(whose))
    together = _hidden(bank, backbone, rows, whose)
    alone = [_hooked(bank, backbone, row, content) for row, content in zip(rows, whose, strict=True)]
    for content in contents:
        bank.forget(content)
    return all(close(one[: len(other)], other) for one, other in zip(together, alone, strict=True))


def _made_up(bank: Bank, seed: int) -> BankContent:
    content = bank.make_blank({site.name: LowRank(_RANK, 1.0) for site in bank.sites if not site.is_embedding})
    generator = torch.Generator().manual_seed(seed)
    content.flat.copy_(torch.randn(content.flat.shape, generator=generator) * _STRENGTH)
    return content


def _hooked(bank: Bank, backbone: Backbone, row: Columns, content: BankContent | None) -> torch.Tensor:
    """[tokens, hidden], computed by the base and a hook on each site."""
    views = content.views if content else ()
    hooks = [
        site.module.register_forward_hook(_adding(weights))
        for site, weights in zip(bank.sites, views, strict=False)
        if weights is not None
    ]
    try:
        return _hidden(bank, backbone, [row], [None])[0]
    finally:
        for hook in hooks:
            hook.remove()


def _adding(weights: SiteWeights) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], torch.Tensor]:
    a, b = weights.a, weights.b
    assert a is not None, "by its form"
    assert b is not None, "by its form"

    def add(_: nn.Module, args: tuple[torch.Tensor, ...], y: torch.Tensor) -> torch.Tensor:
        (x,) = args
        return y + (x.to(a.dtype) @ a[weights.start : weights.stop].T @ b.T).to(y.dtype)

    return add


def _hidden(bank: Bank, backbone: Backbone, rows: list[Columns], contents: list[BankContent | None]) -> torch.Tensor:
    outputs, _ = bank.compute(collate(rows, backbone), contents)
    hidden: torch.Tensor = outputs.last_hidden_state
    return hidden
