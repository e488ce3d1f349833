"""Points in durable changes at which a test may kill the process: what a crash leaves behind is tried at every step.

ADAPTERMUX_FAILPOINT names one of them. It is read once, at import, and refused unless ADAPTERMUX_TESTING is 1, so that
no production server can be armed by a stray variable.
"""

import os
import signal
from collections.abc import Mapping

POINTS = (
    "store.begun",
    "store.file_written",
    "store.file_synced",
    "store.folder_synced",
    "store.cleared",
    "store.renamed",
    "store.parent_synced",
    "store.removing",
    "store.removed",
    "database.created",
    "database.before_commit",
    "database.after_commit",
    "database.moved_aside",
)


def reach(point: str) -> None:
    """Die here, as by `kill -9`, if the environment named this point; else do nothing."""
    if point == _ARMED:
        os.kill(os.getpid(), signal.SIGKILL)


def _armed(environment: Mapping[str, str]) -> str | None:
    point = environment.get("ADAPTERMUX_FAILPOINT")
    if point is None:
        return None
    if environment.get("ADAPTERMUX_TESTING") != "1":
        raise RuntimeError("ADAPTERMUX_FAILPOINT kills the process and is for tests alone: unset it")
    if point not in POINTS:
        raise RuntimeError(f"ADAPTERMUX_FAILPOINT: no point {point!r}; there are {', '.join(POINTS)}")
    return point


_ARMED = _armed(os.environ)
