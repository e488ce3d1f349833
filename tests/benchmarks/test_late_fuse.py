"""LateFuse is left out with a clear word where it can't run."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import late_fuse


@pytest.fixture(autouse=True)
def venv_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(late_fuse, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setattr(late_fuse, "_PYTHON", tmp_path / "python")
    return tmp_path


def _ratios() -> dict[str, float]:
    return late_fuse.late_fuse_ratios(Path("base"), 8, 1)


def test_it_is_left_out_where_it_fails_and_its_words_are_shown(
    venv_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _install(venv_folder, "raise SystemExit('no such tenant')")

    assert {} == _ratios()
    assert "no such tenant" in capsys.readouterr().out


def test_it_is_left_out_where_it_cannot_be_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_venv() -> None:
        raise OSError("no room")

    monkeypatch.setattr(late_fuse, "_install", no_venv)

    assert {} == _ratios()
    assert "no room" in capsys.readouterr().out


def test_its_ratios_are_what_it_prints(venv_folder: Path) -> None:
    ratios = {"latefuse_mixed": 1.1}
    _install(venv_folder, f"print({json.dumps(json.dumps(ratios))})")

    assert ratios == _ratios()


def _install(folder: Path, program: str) -> None:
    """Something in the place of LateFuse's Python."""
    (folder / "installed").touch()
    (folder / "program.py").write_text(program, encoding="utf-8")
    (folder / "python").write_text(f"#!/bin/sh\nexec '{sys.executable}' '{folder}/program.py'\n", encoding="utf-8")
    (folder / "python").chmod(0o755)
