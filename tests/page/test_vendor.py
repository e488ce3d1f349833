"""The files of others that the page uses are those of their authors, byte for byte."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

VENDOR = Path(__file__).parents[2] / "server/adaptermux_server/page/static/vendor"
_ROW = re.compile(r"\| (\S+) \| uplot (\S+) \(npm\), (\S+) \| .* \| ([0-9a-f]{64}) \|")
LISTED = [found.groups() for found in _ROW.finditer((VENDOR / "README.md").read_text("utf-8"))]


def test_each_file_is_listed_with_its_sum() -> None:
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.iterdir()}
    del sums["README.md"]

    assert sums == {name: digest for name, _, _, digest in LISTED}


def test_each_file_is_that_of_the_package(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm isn't installed: only the sums were compared")
    (release,) = {version for _, version, _, _ in LISTED}
    packed = subprocess.run(
        [npm, "pack", f"uplot@{release}", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if packed.returncode != 0:
        pytest.skip("npm's registry can't be reached: only the sums were compared")

    with tarfile.open(tmp_path / json.loads(packed.stdout)[0]["filename"]) as package:
        for name, _, path, _ in LISTED:
            content = package.extractfile(f"package/{path}")
            assert content is not None
            assert content.read() == (VENDOR / name).read_bytes(), name
