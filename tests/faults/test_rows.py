"""Every row of the table in docs/faults.md has its tests."""

import re
from pathlib import Path

_FOLDER = Path(__file__).parent
_DOCUMENT = _FOLDER.parents[1] / "docs" / "faults.md"


def _tested() -> set[str]:
    """The numbers in the names of files that have a test."""
    files = [
        path for path in _FOLDER.glob("test_row_*.py") if re.search(r"^(async )?def test_", path.read_text(), re.M)
    ]
    return {path.name.split("_")[2] for path in files}


def test_each_row_has_a_file_of_tests_and_each_file_a_row() -> None:
    rows = re.findall(r"^\| (\d+) \|", _DOCUMENT.read_text("utf-8"), re.M)

    assert [str(number) for number in range(1, 9)] == rows
    assert set(rows) == _tested()
