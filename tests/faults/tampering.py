"""What a server's process does otherwise than it should, by variables of its environment."""

import os
import time
from dataclasses import replace
from pathlib import Path

from adaptermux_server import app
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import BatchPlan, BatchResult

FORWARD_SECONDS = "FAULTS_FORWARD_SECONDS"
"""Each forward takes so much longer, so that a few calls are a load."""
HANGS_WHILE = "FAULTS_HANGS_WHILE"
"""No forward ends while this file is there."""
CLOSE_SECONDS = "FAULTS_CLOSE_SECONDS"
"""After the drain the server has so long to end by itself."""

_POLL_SECONDS = 0.01


def tamper() -> None:
    """Change this process as its environment says."""
    seconds, file = float(os.environ.get(FORWARD_SECONDS, "0")), os.environ.get(HANGS_WHILE)
    if close_seconds := os.environ.get(CLOSE_SECONDS):
        app._CLOSE_SECONDS = float(close_seconds)
    original = SwitchExecutor.run

    def run(self: SwitchExecutor, plan: BatchPlan) -> BatchResult:
        time.sleep(seconds)
        while file and Path(file).exists():
            time.sleep(_POLL_SECONDS)
        result = original(self, plan)
        # Turns of lanes are measured in it.
        return replace(result, compute_seconds=result.compute_seconds + seconds)

    SwitchExecutor.run = run  # type: ignore[method-assign]
