"""Generate the parts of the documents that the code tells:  python -m scripts.generate_docs [--check]

docs/configuration.md gets its tables of settings, docs/errors.md its reference of reasons, docs/metrics.md its table of
metrics. Each part stands between two comments; what is around them is written by hand. With --check nothing is written;
the exit status is 1 if a document isn't what the code gives.
"""

import argparse
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from adaptermux_server.config import Setting, settings_of
from scripts.error_reference import error_reference
from scripts.metrics_reference import metrics_reference

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the documents, or compare them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed documents, write nothing")
    check = parser.parse_args().check
    drifted = [name for name, part in PARTS.items() if _renew(ROOT / "docs" / name, part(), write=not check)]
    for name in drifted if check else ():
        print(f"docs/{name} isn't what the code gives; run `make docs`", file=sys.stderr)
    return 1 if check and drifted else 0


def renewed(document: str, part: str) -> str:
    """A document with its generated part replaced. Raises ValueError if it has none, or more than one."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after:
        raise ValueError(f"want one part between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{part}\n{END}{after}"


def settings_tables() -> str:
    """A table of settings for each section."""
    return "\n".join(f"### {section}\n\n{_table(list(part))}" for section, part in groupby(settings_of(), _section))


BEGIN, END = "<!-- generated: python -m scripts.generate_docs -->", "<!-- end of what is generated -->"
PARTS: dict[str, Callable[[], str]] = {
    "configuration.md": settings_tables,
    "errors.md": error_reference,
    "metrics.md": metrics_reference,
}


def _renew(file: Path, part: str, *, write: bool) -> bool:
    """Whether a document isn't what the code gives; if `write`, it is afterwards."""
    before = file.read_text("utf-8")
    after = renewed(before, part)
    if write and after != before:
        file.write_text(after, "utf-8")
    return after != before


def _section(setting: Setting) -> str:
    return setting.section


def _table(settings: list[Setting]) -> str:
    rows = [f"| {' | '.join(_cells(setting))} |\n" for setting in settings]
    return f"| variable | option | values | default | meaning |\n| --- | --- | --- | --- | --- |\n{''.join(rows)}"


def _cells(setting: Setting) -> list[str]:
    return [
        f"`{setting.variable}`",
        f"`{setting.flag}`" if setting.flag else "none: a secret",
        setting.values or setting.unit,
        "required" if setting.is_required else f"`{setting.default}`" if setting.default else "",
        setting.meaning.replace("|", "\\|"),
    ]


if __name__ == "__main__":
    sys.exit(main())
