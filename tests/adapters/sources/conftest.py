"""A workspace that must be empty at the end, a web server, and an S3 server."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptermux_server.adapters.limits import CheckpointLimits
from tests.adapters.sources.site import Site, serve

CONTENT = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights" * 100, "config.json": b'{"a": 1}'}
LIMITS = CheckpointLimits(weights_bytes=1 << 20, config_bytes=1 << 10)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    workspace = tmp_path / "workspace"
    yield workspace
    assert [] == (list(workspace.iterdir()) if workspace.exists() else [])


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as site:
        site.files = {f"/a/b/{name}": content for name, content in CONTENT.items()}
        yield site


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of a real S3 server."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the server, with an empty bucket; the environment says how to reach it, as an operator's would."""
    import boto3
    import requests

    requests.post(f"{s3_server}/moto-api/reset", timeout=10)
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for name, content in CONTENT.items():
        client.put_object(Bucket="bucket", Key=f"tenant/a/{name}", Body=content)
    return client


def content_of(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
