"""The unit: what systemd says of it, and what it must not forbid."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.documents import DEPLOY

FOLDER = DEPLOY / "systemd"
UNIT = (FOLDER / "adaptermux.service").read_text("utf-8")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze isn't installed")


def value(name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", UNIT, re.M)
    return str(found)


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(ANALYZE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """But for the program, which isn't installed where the tests run."""
    unit = tmp_path / "adaptermux.service"
    unit.write_text(UNIT.replace(value("ExecStart").split()[0], "/bin/true"), "utf-8")

    done = analyze("verify", unit)

    assert (0, "") == (done.returncode, done.stderr)


@needs_systemd
def test_it_is_confined() -> None:
    """By systemd's own measure, from 0 to 10 (here tenfold); services as they come have 9 and more."""
    done = analyze("security", "--offline=true", "--threshold=20", FOLDER / "adaptermux.service")

    assert done.returncode == 0, done.stdout[-200:]


def test_it_may_do_what_torch_needs() -> None:
    assert not re.search(r"^(MemoryDenyWriteExecute|ProcSubset)=", UNIT, re.M)


def test_it_writes_to_its_state_folder_alone() -> None:
    assert "strict" == value("ProtectSystem")
    assert "adaptermux" == value("StateDirectory")
    assert "ADAPTERMUX_STORE=%S/adaptermux/store" == value("Environment")
    assert "ReadWritePaths" not in UNIT


def test_wrong_settings_are_not_tried_again() -> None:
    """2 is what `adaptermux serve` exits with then."""
    assert "on-failure" == value("Restart")
    assert "2" == value("RestartPreventExitStatus")


def test_the_user_is_made_by_the_file_beside_it() -> None:
    (line,) = re.findall(r"^u .*$", (FOLDER / "adaptermux.sysusers").read_text("utf-8"), re.M)

    assert value("User") == value("Group") == line.split()[1]
