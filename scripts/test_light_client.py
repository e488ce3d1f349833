"""Install the light client alone, with older gRPC and protobuf, and use it:  python -m scripts.test_light_client

The range that pyproject.toml promises is checked at its ends: what this environment has is its upper end, and is
tested by everything else.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "light-venv"
VERSIONS = (
    ("protobuf==5.29.6", "grpcio==1.71.2", "grpcio-status==1.71.2"),
    ("protobuf==6.33.6", "grpcio==1.76.0", "grpcio-status==1.76.0"),
)
USE = """
import adaptermux_client, sys
from adaptermux.v1 import adapter_admin_pb2_grpc, infer_pb2_grpc
heavy = {"torch", "transformers", "peft", "adaptermux_server"} & set(sys.modules)
assert not heavy, heavy
"""
# Exit statuses of the command line: nobody answers; and the server isn't installed.
UNREACHABLE, MISSING_EXTRA = 1, 3


def main() -> int:
    """Check each set of versions; the exit status is that of the first failure."""
    for requirements in VERSIONS:
        venv.create(FOLDER, with_pip=True, clear=True)
        run(FOLDER / "bin" / "pip", "install", "--quiet", str(ROOT), *requirements)
        run(FOLDER / "bin" / "python", "-W", "error", "-c", USE)
        command = FOLDER / "bin" / "adaptermux"
        run(command, "--version")
        # Port 1 is reserved and has no listener.
        run(command, "health", "--address", "127.0.0.1:1", expected=UNREACHABLE)
        run(command, "serve", "--model", "x", expected=MISSING_EXTRA)
        print(f"the light client works with {', '.join(requirements)}")
    return 0


def run(*command: str | Path, expected: int = 0) -> None:
    """Run a command that must end with the expected status. Raises SystemExit otherwise."""
    result = subprocess.run(command, cwd=ROOT.parent, timeout=300, check=False)
    if result.returncode != expected:
        raise SystemExit(f"{command[0]} ended with {result.returncode}, expected {expected}")


if __name__ == "__main__":
    sys.exit(main())
