"""The picture of `switch`."""

from pathlib import Path

from benchmarks.switch_picture import draw

_PNG = b"\x89PNG\r\n"


def test_draws_although_a_cost_is_nothing(tmp_path: Path) -> None:
    """A lone adapter needs no traversal, and zero has no logarithm."""
    series = {
        "peft_set_adapter": [0.01, 0.8],
        "peft_load_adapter": [0.2, 9.0],
        "traversal": [0.0, 0.05],
        "install": [0.3, 0.3],
    }

    draw(tmp_path / "images" / "switch.png", (1, 256), series)

    assert (tmp_path / "images" / "switch.png").read_bytes().startswith(_PNG)
