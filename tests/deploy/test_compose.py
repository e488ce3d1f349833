"""The compose file: what it may name, what it exposes, and that it finds what it mounts."""

import json
from importlib.resources import files as resources
from typing import Any

import pytest

from tests.deploy.documents import DEPLOY, ROOT, documents

FOLDER = DEPLOY / "compose"
COMPOSE = documents(FOLDER / "compose.yaml")[0]
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_it_is_what_the_specification_says() -> None:
    pytest.importorskip("check_jsonschema")
    jsonschema = pytest.importorskip("jsonschema")
    vendored = resources("check_jsonschema.builtin_schemas.vendor").joinpath("compose-spec.json")
    schema = json.loads(vendored.read_text("utf-8"))

    errors = [error.message for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(COMPOSE)]

    assert [] == errors


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert service["mem_limit"]


def test_the_outside_reaches_calls_alone_and_by_default_from_this_host() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}

    assert ["${LISTEN:-127.0.0.1}:50051:50051"] == published.pop("server")
    for ports in published.values():
        assert all(port.startswith("127.0.0.1:") for port in ports)


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            if volume["type"] == "volume":
                assert volume["source"] in COMPOSE["volumes"]
            elif not volume["source"].startswith("$"):
                assert (FOLDER / volume["source"]).is_dir()
                assert volume["read_only"]


def test_the_image_is_built_of_the_repository() -> None:
    assert (FOLDER / SERVICES["server"]["build"]).resolve() == ROOT


def test_prometheus_scrapes_the_server_and_grafana_asks_prometheus() -> None:
    (job,) = documents(DEPLOY / "prometheus" / "prometheus.yml")[0]["scrape_configs"]
    (targets,) = (each["targets"] for each in job["static_configs"])
    port = SERVICES["server"]["environment"]["ADAPTERMUX_METRICS_ADDRESS"].rpartition(":")[2]
    (source,) = documents(DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")[0]["datasources"]

    assert [f"server:{port}"] == targets
    assert "$PROMETHEUS_URL" == source["url"]
    assert "http://prometheus:9090" == SERVICES["grafana"]["environment"]["PROMETHEUS_URL"]


def test_grafana_finds_the_dashboard() -> None:
    (provider,) = documents(DEPLOY / "grafana" / "provisioning" / "dashboards" / "adaptermux.yaml")[0]["providers"]
    grafana = SERVICES["grafana"]
    mounted = {volume["target"]: FOLDER / volume["source"] for volume in grafana["volumes"]}
    folder, _, home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].rpartition("/")

    assert folder == provider["options"]["path"]
    assert (mounted[folder] / home).is_file()
