"""The promise that rows in one batch don't touch each other, put to the test before the bank serves anybody."""

import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.bank.sites import probe_rows
from adaptermux_server.engine.collate import Columns, collate
from adaptermux_server.engine.forms import LowRank
from adaptermux_server.engine.padding import close

_RANK = 2
_STRENGTH = 0.05


def bank_holds(bank: Bank, backbone: Backbone) -> bool:
    """Whether two made-up adapters on all linear sites, and the base, answer side by side as each does alone."""
    contents = [_made_up(bank, seed) for seed in (0, 1)]
    whose: list[BankContent | None] = [contents[0], contents[1], None]
    rows = probe_rows(backbone, len(whose))
    together = _hidden(bank, backbone, rows, whose)
    alone = [_hidden(bank, backbone, [row], [content])[0] for row, content in zip(rows, whose, strict=True)]
    return all(close(one[: len(other)], other) for one, other in zip(together, alone, strict=True))


def _made_up(bank: Bank, seed: int) -> BankContent:
    content = bank.make_blank({site.name: LowRank(_RANK, 1.0) for site in bank.sites if not site.is_embedding})
    generator = torch.Generator().manual_seed(seed)
    content.flat.copy_(torch.randn(content.flat.shape, generator=generator) * _STRENGTH)
    return content


def _hidden(bank: Bank, backbone: Backbone, rows: list[Columns], contents: list[BankContent | None]) -> torch.Tensor:
    outputs, _ = bank.compute(collate(rows, backbone), contents)
    hidden: torch.Tensor = outputs.last_hidden_state
    return hidden
