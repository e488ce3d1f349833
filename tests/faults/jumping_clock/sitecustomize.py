"""Put on a process's path: its wall clock is off by as many seconds as a file says, and jumps when the file changes.

All else tells the time as before, as it does when the machine's clock is set: the monotonic clock, and gRPC's
arithmetic with deadlines.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace

_FILE = Path(os.environ["FAULTS_CLOCK_FILE"])
_right = time.time

time.time = lambda: _right() + float(_FILE.read_text())

from grpc._cython import cygrpc  # noqa: E402 - after the clock, or it would matter who is imported first

cygrpc.time = SimpleNamespace(time=_right, monotonic=time.monotonic, sleep=time.sleep)
