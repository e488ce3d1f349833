"""Dashboard and alerts: what they ask for is what the server tells, in words that Prometheus understands."""

import json
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
from prometheus_client import generate_latest

from adaptermux.v1 import adapter_admin_pb2, infer_pb2
from scripts.metrics_reference import used
from tests.deploy.documents import DEPLOY, documents

PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "adaptermux.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in documents(PROMETHEUS / "alerts.yml")[0]["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]
RPCS = {
    method.name
    for file in (infer_pb2, adapter_admin_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
PROMTOOL = shutil.which("promtool")


@cache
def told() -> dict[str, dict[str, set[str]]]:
    """What the server's metrics are: label → values, by the name of the sample."""
    instruments = used()
    for rpc in RPCS:
        instruments.rpcs.observe(rpc, "OK", 0.1)
        instruments.rpcs.observe(rpc, "INTERNAL", 0.1)
    samples: dict[str, dict[str, set[str]]] = {}
    for line in generate_latest(instruments.registry).decode().splitlines():
        if match := re.match(r"(adaptermux_\w+)(?:\{(.*)\})? ", line):
            labels = samples.setdefault(match[1], {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', match[2] or ""):
                labels.setdefault(label, set()).add(value)
    return samples


def selectors(expression: str) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """The metrics of an expression, each with its matchers."""
    found = re.findall(r"(adaptermux_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, re.findall(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"', inner)) for name, inner in found]


def plain(expression: str) -> str:
    """An expression as Grafana sends it."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_server_tells_what_is_asked_for(expression: str) -> None:
    for name, matchers in selectors(expression):
        assert name in told()
        for label, operator, value in matchers:
            if label == "instance" or operator == "!=":
                continue
            known = told()[name][label]
            assert any(re.fullmatch(value, each) for each in known), f"{name}: {label} is never {value}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_labels_to_group_by_are_there(expression: str) -> None:
    known = {"instance", "le", *(label for name, _ in selectors(expression) for label in told()[name])}

    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= known


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_prometheus_understands_it(expression: str) -> None:
    promql_parser = pytest.importorskip("promql_parser")

    assert promql_parser.parse(plain(expression))


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for panel in PANELS for target in panel["targets"] for name, _ in selectors(target["expr"])}
    left_out = {"adaptermux_rpc_seconds_count", "adaptermux_rpc_seconds_sum"}

    assert shown | left_out == {name for name in told() if not name.endswith("_created")}


@pytest.mark.parametrize("unary", ["Classify", "TagTokens", "Answer", "Embed", "Analyze"])
def test_times_are_those_of_every_unary_inference(unary: str) -> None:
    timed = [expression for expression in EXPRESSIONS if "adaptermux_rpc_seconds_bucket" in expression]

    assert timed
    for expression in timed:
        ((_, matchers),) = selectors(expression)
        (pattern,) = (value for label, _, value in matchers if label == "rpc")
        assert re.fullmatch(pattern, unary)
        assert not re.fullmatch(pattern, "StreamAnalyze")


def test_every_rpc_of_the_admin_listener_is_in_its_panel() -> None:
    (panel,) = (panel for panel in PANELS if panel["title"] == "Admin calls")
    ((_, matchers),) = selectors(panel["targets"][0]["expr"])
    (pattern,) = (value for label, _, value in matchers if label == "rpc")

    matched = {rpc for rpc in RPCS if re.fullmatch(pattern, rpc)}

    assert {method.name for method in adapter_admin_pb2.DESCRIPTOR.services_by_name["AdapterAdmin"].methods} == matched


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


def test_panels_ask_the_chosen_source() -> None:
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}

    assert {"datasource", "instance"} == variables
    for panel in PANELS:
        assert {"${datasource}"} == {target["datasource"]["uid"] for target in panel["targets"]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_say_what_to_do(rule: dict[str, Any]) -> None:
    readme = (DEPLOY / "README.md").read_text("utf-8")

    assert f"| `{rule['alert']}` |" in readme
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["for"]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool isn't installed")
@pytest.mark.parametrize(
    "command", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts.test.yml"]
)
def test_promtool_agrees(command: str) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *command.split()], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_to_rise_and_to_stay() -> None:
    """The tests themselves need promtool; that they are there doesn't."""
    tests = documents(PROMETHEUS / "alerts.test.yml")[0]["tests"]
    expected = [each for test in tests for each in test["alert_rule_test"]]
    risen = {each["alertname"] for each in expected if each.get("exp_alerts")}
    quiet = {each["alertname"] for each in expected if not each.get("exp_alerts")}

    assert {rule["alert"] for rule in RULES} == risen == quiet
