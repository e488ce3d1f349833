"""The pictures of the bank's benchmarks."""

from pathlib import Path

import pytest

from benchmarks import mixed_picture, scale_picture

_PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("beside", [{}, {"latefuse_mixed_16x16_qv": 1.1}])
def test_mixed_is_drawn_with_and_without_those_that_could_not_be_measured(
    tmp_path: Path, beside: dict[str, float]
) -> None:
    metrics = {"uniform": 1.1, "mixed_16x16": 1.1, "peft_mixed_16x16": 9.0, "mixed_16x16_qv": 1.0}

    mixed_picture.draw(tmp_path / "images" / "mixed.png", metrics | beside, {"uniform": 1.08})

    assert (tmp_path / "images" / "mixed.png").read_bytes().startswith(_PNG)


def test_scale_is_drawn(tmp_path: Path) -> None:
    scale_picture.draw(tmp_path / "images" / "scale.png", {1: 1.0, 16: 0.97, 1024: 0.95}, 0.9)

    assert (tmp_path / "images" / "scale.png").read_bytes().startswith(_PNG)
