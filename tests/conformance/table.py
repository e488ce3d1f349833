"""The table as the runners read it: `cases.json` with its placeholders filled in for one running server."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import models, server
from tests.conformance.contents import revision_of
from tests.conformance.reference import Reference
from tests.conformance.stubs import StubRunner

CASES = Path(__file__).with_name("cases.json")
VARIABLE = "ADAPTERMUX_CONFORMANCE"
"""The environment variable that tells a runner where the filled-in table is."""

_VOLATILE = "timings"
_REVISION = re.compile(r"\$(revision|prefix)\(([a-z]+)\)")
_PREFIX_DIGITS = 8


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Build the models, serve them, and write the filled-in table; yields its path while the server runs."""
    built = models.build(folder)
    with server.serving(built) as running_server:
        table = _Filling(Reference(built), built.adapters).filled(json.loads(CASES.read_text()))
        with StubRunner(running_server.data_address, running_server.admin_address) as runner:
            cases = [each for case in table["cases"] for each in _with_recording(case, runner)]
        path = folder / "table.json"
        addresses = {"dataAddress": running_server.data_address, "adminAddress": running_server.admin_address}
        path.write_text(json.dumps(table | addresses | {"cases": cases}))
        yield path


@dataclass(frozen=True, slots=True)
class _Filling:
    reference: Reference
    adapters: Path

    def filled(self, value: Any) -> Any:
        match value:
            case {"$peft": arguments}:
                return self.reference(**arguments)
            case {"$repeat": count, "item": item}:
                return [item] * count
            case dict():
                return {key: self.filled(each) for key, each in value.items()}
            case list():
                return [self.filled(each) for each in value]
            case str():
                return _REVISION.sub(self._revision, value.replace("$adapters", str(self.adapters)))
        return value

    def _revision(self, placeholder: re.Match[str]) -> str:
        revision = revision_of(self.adapters / placeholder[2])
        return revision if placeholder[1] == "revision" else revision[:_PREFIX_DIGITS]


def _with_recording(case: dict[str, Any], runner: StubRunner) -> Iterator[dict[str, Any]]:
    """The case, and where it asks for that, once more with what the Python stubs were answered."""
    recorded = case["expect"].pop("recorded", False)
    yield case
    if recorded:
        outcome = runner.perform(case)
        outcome.get("response", {}).pop(_VOLATILE, None)
        yield {**case, "name": f"{case['name']} (as recorded)", "expect": outcome}
