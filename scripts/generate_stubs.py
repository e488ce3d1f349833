"""Generate the committed protobuf stubs:  python scripts/generate_stubs.py [--check]

The generator lives in a virtual environment of its own (`.venv-protoc`): the oldest protoc of the supported range makes
stubs that every runtime of the range accepts (protobuf 5.29, 6 and 7), and it can't be installed beside protobuf 7.
With --check nothing is written; the exit status is 1 if the committed stubs aren't what the .proto files give.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
THIRD_PARTY = ROOT / "third_party" / "googleapis"
TOOLS = ROOT / ".venv-protoc"
REQUIREMENTS = ("grpcio-tools==1.71.2", "mypy-protobuf==3.6.0", "setuptools<81")
STUB_GLOBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def main() -> int:
    """Write the stubs, or compare them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs, write nothing")
    check = parser.parse_args().check
    ensure_tools()
    if not check:
        generate(PROTO)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        drifted = differences(Path(folder), PROTO)
    for name in drifted:
        print(f"stub differs from its .proto file: {name}; run `make stubs`", file=sys.stderr)
    return 1 if drifted else 0


def ensure_tools() -> None:
    """Install the pinned generator unless this very set is installed already."""
    stamp = TOOLS / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.create(TOOLS, with_pip=True, clear=True)
    subprocess.run([TOOLS / "bin" / "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    stamp.write_text(wanted)


def generate(target: Path) -> None:
    """Write the stubs of every .proto file of ours under `target`."""
    sources = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    arguments = [f"-I{PROTO}", f"-I{THIRD_PARTY}"]
    arguments += [f"--{kind}_out={target}" for kind in ("python", "grpc_python")]
    arguments += [f"--{kind}_out=quiet:{target}" for kind in ("mypy", "mypy_grpc")]
    command = [TOOLS / "bin" / "python", "-m", "grpc_tools.protoc", *arguments, *sources]
    subprocess.run(command, check=True, env={"PATH": f"{TOOLS / 'bin'}:/usr/bin:/bin"})
    for stub in target.rglob("*_pb2_grpc.*"):
        if "class " not in stub.read_text():  # a file without services gets an empty stub from the plugin
            stub.unlink()


def differences(fresh: Path, committed: Path) -> list[str]:
    """Name the stubs that exist on one side only or whose contents differ."""
    contents = [
        {str(p.relative_to(root)): p.read_bytes() for g in STUB_GLOBS for p in root.rglob(g)}
        for root in (fresh, committed)
    ]
    return sorted(name for name in contents[0] | contents[1] if contents[0].get(name) != contents[1].get(name))


if __name__ == "__main__":
    sys.exit(main())
