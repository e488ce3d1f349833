"""The manifests: that the API server would take them, and that their parts fit each other."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from adaptermux_client._version import __version__
from tests.deploy.documents import (
    BASE,
    DEPLOY,
    OVERLAYS,
    Document,
    built,
    documents,
    environment_of,
    one,
    read_env_file,
    server_of,
)

FOLDERS = [BASE, *OVERLAYS]
VERSIONS = ("1.30", "1.37")
"""The oldest cluster that is meant, and the newest whose schemas there are."""


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def manifests(request: pytest.FixtureRequest) -> list[Document]:
    return built(request.param)


def pod_of(manifests: list[Document]) -> Document:
    return dict(one(manifests, "Deployment")["spec"]["template"]["spec"])


def ports_of(manifests: list[Document]) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in server_of(manifests)["ports"]}


def check(manifest: Document, version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_take_what_is_built(manifests: list[Document], version: str) -> None:
    for manifest in manifests:
        check(manifest, version)


@pytest.mark.parametrize("path", sorted(set(BASE.glob("*.yaml")) - {BASE / "kustomization.yaml"}), ids=lambda p: p.name)
def test_the_schemas_take_each_file(path: Path) -> None:
    """For machines without kubectl."""
    for manifest in documents(path):
        check(manifest, VERSIONS[-1])


def test_the_base_names_each_of_its_files() -> None:
    (kustomization,) = documents(BASE / "kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]

    named = {*kustomization["resources"], *generator["envs"], "kustomization.yaml"}

    assert named == {path.name for path in BASE.iterdir()}


def test_one_process_uses_the_store_at_a_time(manifests: list[Document]) -> None:
    deployment = one(manifests, "Deployment")["spec"]
    claim = one(manifests, "PersistentVolumeClaim", "adaptermux-store")["spec"]

    assert 1 == deployment["replicas"]
    assert {"type": "Recreate"} == deployment["strategy"]
    assert ["ReadWriteOncePod"] == claim["accessModes"]


def test_every_volume_is_mounted_and_every_claim_made(manifests: list[Document]) -> None:
    volumes = {volume["name"]: volume for volume in pod_of(manifests)["volumes"]}
    claims = {each["metadata"]["name"] for each in manifests if each["kind"] == "PersistentVolumeClaim"}

    assert set(volumes) == {mount["name"] for mount in server_of(manifests)["volumeMounts"]}
    assert claims == {
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
    }


def test_the_settings_point_into_the_volumes(manifests: list[Document]) -> None:
    settings = environment_of(manifests)
    mounts = {mount["name"]: mount for mount in server_of(manifests)["volumeMounts"]}

    assert settings["ADAPTERMUX_STORE"].startswith(mounts["store"]["mountPath"] + "/")
    assert settings["ADAPTERMUX_MODEL"].startswith(mounts["models"]["mountPath"] + "/")
    assert mounts["models"]["readOnly"]


@pytest.mark.parametrize("listener", ["data", "admin", "metrics"])
def test_containers_name_the_ports_that_the_server_listens_on(manifests: list[Document], listener: str) -> None:
    variable = {"data": "ADDRESS", "admin": "ADMIN_ADDRESS", "metrics": "METRICS_ADDRESS"}[listener]

    assert f"0.0.0.0:{ports_of(manifests)[listener]}" == environment_of(manifests)[f"ADAPTERMUX_{variable}"]


def test_services_lead_to_the_server(manifests: list[Document]) -> None:
    labels = one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    services = [each for each in manifests if each["kind"] == "Service"]

    assert {"adaptermux", "adaptermux-admin"} == {service["metadata"]["name"] for service in services}
    for service in services:
        (port,) = service["spec"]["ports"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert port["port"] == ports_of(manifests)[port["targetPort"]]


def test_nothing_is_exposed_outside_of_the_cluster(manifests: list[Document]) -> None:
    assert not {each["kind"] for each in manifests} & {"Ingress", "Gateway", "HTTPRoute", "GRPCRoute"}
    for service in (each for each in manifests if each["kind"] == "Service"):
        assert "ClusterIP" == service["spec"].get("type", "ClusterIP")


def allowed(manifests: list[Document], listener: str) -> list[Any]:
    """From where the policy lets calls of a listener through."""
    (rule,) = (
        rule
        for rule in one(manifests, "NetworkPolicy")["spec"]["ingress"]
        if [listener] == [port["port"] for port in rule["ports"]]
    )
    return list(rule["from"])


def test_the_policy_is_about_the_server_alone(manifests: list[Document]) -> None:
    policy = one(manifests, "NetworkPolicy")["spec"]

    assert one(manifests, "Deployment")["spec"]["selector"] == policy["podSelector"]
    assert ["Ingress", "Egress"] == policy["policyTypes"]
    assert [] == policy["egress"]


def test_who_changes_adapters_is_named_pod_by_pod(manifests: list[Document]) -> None:
    assert [{"podSelector": {"matchLabels": {"adaptermux.io/operator": "true"}}}] == allowed(manifests, "admin")


def test_who_calls_and_who_scrapes_is_named_by_namespace(manifests: list[Document]) -> None:
    callers = {"namespaceSelector": {"matchLabels": {"adaptermux.io/callers": "true"}}}
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}

    assert [callers, {"podSelector": {}}] == allowed(manifests, "data")
    assert [monitoring] == allowed(manifests, "metrics")


def test_the_annotated_port_is_that_of_the_metrics(manifests: list[Document]) -> None:
    annotations = one(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert str(ports_of(manifests)["metrics"]) == annotations["prometheus.io/port"]


def test_the_pod_meets_the_restricted_standard(manifests: list[Document]) -> None:
    pod, container = pod_of(manifests), server_of(manifests)
    namespace = one(manifests, "Namespace")["metadata"]["labels"]

    assert "restricted" == namespace["pod-security.kubernetes.io/enforce"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert not pod["automountServiceAccountToken"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]


def test_kubernetes_adds_no_variables_to_the_settings(manifests: list[Document]) -> None:
    """Those of a service `adaptermux` would begin as settings do."""
    assert pod_of(manifests)["enableServiceLinks"] is False


def test_a_forward_has_its_cores_and_the_rest_one(manifests: list[Document]) -> None:
    resources = server_of(manifests)["resources"]

    assert int(resources["requests"]["cpu"]) == int(environment_of(manifests)["ADAPTERMUX_NUM_THREADS"]) + 1
    assert "cpu" not in resources["limits"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


def test_a_slow_start_is_no_reason_to_start_again(manifests: list[Document]) -> None:
    container = server_of(manifests)
    startup, liveness = container["startupProbe"], container["livenessProbe"]

    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60


def test_probes_ask_the_data_listener_for_its_health() -> None:
    container = documents(BASE / "deployment.yaml")[0]["spec"]["template"]["spec"]["containers"][0]
    port = int(read_env_file(BASE / "settings.env")["ADAPTERMUX_ADDRESS"].rpartition(":")[2])

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert {"port": port} == container[probe]["grpc"]


def test_an_overlay_as_the_readme_has_it_can_be_built(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DEPLOY / "README.md").read_text("utf-8"), re.DOTALL)
    shutil.copytree(BASE, tmp_path / "deploy" / "kubernetes" / "base")
    (tmp_path / "my-cluster").mkdir()
    (tmp_path / "my-cluster" / "kustomization.yaml").write_text(example, "utf-8")

    manifests = built(tmp_path / "my-cluster")

    assert f"registry.example.com/adaptermux:{__version__}" == server_of(manifests)["image"]
    base = read_env_file(BASE / "settings.env")
    assert {**base, "ADAPTERMUX_MAX_DEVICE_ADAPTERS": "256"} == environment_of(manifests)


def test_the_image_is_of_this_version() -> None:
    """A tag that moves would make two starts of one manifest differ."""
    (kustomization,) = documents(BASE / "kustomization.yaml")

    assert [__version__] == [image["newTag"] for image in kustomization["images"]]
