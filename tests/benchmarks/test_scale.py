"""What `scale` says of memory."""

from pathlib import Path

import pytest

from adaptermux_server.engine.backbone import load_backbone
from benchmarks.adapters import lora, save_adapters
from benchmarks.engines import OpenBank
from benchmarks.scale import memory_metrics


@pytest.mark.parametrize("rank", [8, 5])
def test_memory_that_the_bank_adds_to_an_adapter_is_counted(base: Path, tmp_path: Path, rank: int) -> None:
    """A rank that is no power of two is padded to the next."""
    backbone = load_backbone(str(base))
    bank, folders = OpenBank(backbone), list(save_adapters(tmp_path, 1, base, lora(rank)).values())
    bank.install(folders, 40)

    metrics = memory_metrics(backbone, bank, folders[0], grown_bytes=0)

    padded = sum(content.num_bytes for content in bank.contents) / 40 / 2**20
    head = (16 * 3 + 3) * 4 / 2**20
    ideal = metrics["base_mib"] + 40 * metrics["adapter_mib"]
    expected = (metrics["base_mib"] + 40 * (padded + head) + metrics["workspace_mib"]) / ideal
    assert pytest.approx(expected) == metrics["bytes_over_ideal"]
    assert (rank == 5) == (metrics["bytes_over_ideal"] > 1.2)
