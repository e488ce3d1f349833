"""What `mixed` times computes what it says, and nothing is left over from one batch to the next."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig

from adaptermux_server.engine.backbone import load_backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.collate import Batch, collate
from benchmarks.adapters import ia3, lora, save_adapters
from benchmarks.engines import sequence
from benchmarks.lineup import BankLineup, PeftLineup, can_mix
from benchmarks.pairs import Work

_NUM_ROWS = 3


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(save_adapters(tmp_path_factory.mktemp("adapters"), 6, base).values())


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[BankContent | None]]:
    """The contents of each forward of the bank."""
    contents, compute = [], Bank.compute

    def recorded(bank: Bank, batch: Batch, whose: Sequence[BankContent | None]) -> Any:
        contents.append(whose)
        return compute(bank, batch, whose)

    monkeypatch.setattr(Bank, "compute", recorded)
    return contents


def _compute_twice(
    kind: Callable[[BankLineup, Batch], Work],
    base: Path,
    folders: list[Path],
    computed: list[Sequence[BankContent | None]],
) -> None:
    """Two batches of a kind; afterwards `computed` has these alone."""
    backbone = load_backbone(str(base))
    lineup, batch = BankLineup(backbone, folders, 6), collate([sequence(4)] * _NUM_ROWS, backbone)
    computed.clear()
    for _ in range(2):
        kind(lineup, batch)()


async def test_the_bank_and_plain_peft_give_the_same(base: Path, folders: list[Path]) -> None:
    backbone, rows = load_backbone(str(base)), [sequence(4), sequence(5), sequence(6)]
    bank, peft = BankLineup(backbone, folders, 6), PeftLineup(folders, base)

    together = bank.logits([1, 2, 3], rows)

    alone = torch.stack([peft.logits(number, collate([row], backbone))[0] for number, row in enumerate(rows)])
    assert torch.allclose(alone, together, atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-2)


def test_mixed_batches_share_no_adapter_with_the_one_before(
    base: Path, folders: list[Path], computed: list[Sequence[BankContent | None]]
) -> None:
    _compute_twice(BankLineup.mixed, base, folders, computed)

    first, second = (set(map(id, contents)) for contents in computed)
    assert (_NUM_ROWS, _NUM_ROWS) == (len(first), len(second))
    assert not first & second


def test_uniform_batches_have_one_adapter_and_the_next_has_another(
    base: Path, folders: list[Path], computed: list[Sequence[BankContent | None]]
) -> None:
    _compute_twice(BankLineup.uniform, base, folders, computed)

    assert [_NUM_ROWS, _NUM_ROWS] == [len(contents) for contents in computed]
    assert [1, 1] == [len(set(map(id, contents))) for contents in computed]
    assert computed[0][0] is not computed[1][0]


@pytest.mark.parametrize(("config", "expected"), [(lora(), True), (lora(use_dora=True), False), (ia3(), False)])
def test_can_mix_says_whether_plain_peft_mixes_rightly(
    config: PeftConfig, expected: bool, base: Path, tmp_path: Path
) -> None:
    """DoRA is refused; with IA3 the names are ignored without a word."""
    peft = PeftLineup(list(save_adapters(tmp_path, 2, base, config).values()), base)
    batch = collate([sequence(4)] * 2, load_backbone(str(base)))
    alone = [peft.logits(number, batch)[number] for number in (0, 1)]

    try:
        is_right = torch.allclose(torch.stack(alone), peft.mixed(batch)(), atol=1e-6)
    except ValueError:
        is_right = False

    assert expected == can_mix(config) == is_right
