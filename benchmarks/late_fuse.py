"""LateFuse beside the bank: in a virtual environment of its own, since it needs an earlier transformers."""

import json
import subprocess
import venv
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_FOLDER = _ROOT / "build" / "latefuse-venv"
_INSTALLED = _FOLDER / "installed"
_PYTHON = _FOLDER / "bin" / "python"
_REQUIREMENTS = ("latefuse==0.1.0", "transformers<5")
_SECONDS = 900


def late_fuse_ratios(base: Path, rank: int, num_rounds: int) -> dict[str, float]:
    """Ratios of its forwards to its own base forward, by metric; empty, with a word to the user, where it can't run.

    Installs it first, in minutes, if it isn't there.
    """
    try:
        if not _INSTALLED.exists():
            _install()
        done = _run(_PYTHON, "-m", "benchmarks.late_fuse_forwards", base, str(rank), str(num_rounds))
    except (OSError, subprocess.SubprocessError) as error:
        print(f"LateFuse is left out: {error}\n{getattr(error, 'stderr', None) or ''}")
        return {}
    ratios: dict[str, float] = json.loads(done.stdout)
    return ratios


def _install() -> None:
    venv.create(_FOLDER, clear=True, with_pip=True)
    _run(_PYTHON, "-m", "pip", "install", "--quiet", "--constraint", _ROOT / "constraints.txt", *_REQUIREMENTS)
    # Only now: what a stopped installation left behind isn't taken for one.
    _INSTALLED.touch()


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS, cwd=_ROOT)
