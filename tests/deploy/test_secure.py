"""The overlay with TLS and tokens: what it puts over the base, and that the server takes it."""

from pathlib import PurePosixPath

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from adaptermux_server.config import ServerSettings
from adaptermux_server.page.application import build_application
from tests.deploy.documents import BASE, DEPLOY, Document, built, environment_of, one, read_env_file, server_of

SECURE = DEPLOY / "kubernetes" / "overlays" / "secure"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
KEYS_OF_TLS_SECRETS = {"ca.crt", "tls.crt", "tls.key"}


@pytest.fixture(scope="module")
def manifests() -> list[Document]:
    return built(SECURE)


def test_it_adds_to_the_settings_of_the_base(manifests: list[Document]) -> None:
    base, added = read_env_file(BASE / "settings.env"), read_env_file(SECURE / "settings.env")

    assert {**base, **added} == environment_of(manifests)
    assert not set(base) & set(added)


def test_both_listeners_have_certificates_and_ask_for_tokens() -> None:
    added = read_env_file(SECURE / "settings.env")

    names = {name.removeprefix("ADAPTERMUX_").lower() for name in added}

    assert {"tls_certificate", "tls_key", "admin_tls_certificate", "admin_tls_key", "tokens_file"} == names
    assert names <= set(ServerSettings.model_fields)


def test_every_file_that_is_named_is_in_a_secret_that_is_mounted(manifests: list[Document]) -> None:
    """As a folder: what is mounted as a file is never renewed."""
    mounts = {each["mountPath"]: each for each in server_of(manifests)["volumeMounts"]}
    volumes = {each["name"]: each for each in one(manifests, "Deployment")["spec"]["template"]["spec"]["volumes"]}
    keys = {"adaptermux-tls": KEYS_OF_TLS_SECRETS, "adaptermux-tokens": {"tokens.toml"}}

    for path in map(PurePosixPath, read_env_file(SECURE / "settings.env").values()):
        mount = mounts[str(path.parent)]
        secret = volumes[mount["name"]]["secret"]
        assert path.name in keys[secret["secretName"]]
        assert (0o440, True) == (secret["defaultMode"], mount["readOnly"])
        assert "subPath" not in mount


def test_probes_ask_what_speaks_no_tls(manifests: list[Document]) -> None:
    """And no longer the data listener, which would drop them. How often is up to the base."""
    container = server_of(manifests)
    ports = {port["name"] for port in container["ports"]}

    for probe in (container[name] for name in PROBES):
        assert not {"grpc", "exec"} & set(probe)
        assert probe["httpGet"]["port"] == "metrics"
        assert "metrics" in ports
        assert {"periodSeconds", "failureThreshold", "timeoutSeconds"} < set(probe)


@pytest.mark.parametrize(("is_ready", "status"), [(False, 503), (True, 200)])
async def test_the_server_tells_its_health_where_the_probes_ask(
    manifests: list[Document], is_ready: bool, status: int
) -> None:
    container = server_of(manifests)

    async with TestClient(TestServer(build_application(CollectorRegistry(), lambda: is_ready, None))) as client:
        for path in {container[name]["httpGet"]["path"] for name in PROBES}:
            assert status == (await client.get(path)).status


def test_services_say_that_it_is_tls(manifests: list[Document]) -> None:
    """What routes by `appProtocol` would otherwise speak HTTP/2 in plain text."""
    ports = [port for each in manifests if each["kind"] == "Service" for port in each["spec"]["ports"]]

    assert [("admin", "https"), ("data", "https")] == sorted((port["name"], port["appProtocol"]) for port in ports)
