"""Commands about adapters and the server: what they print, as JSON and as tables, and what they send."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client import __version__
from tests.client.command_line import Run, document, lines
from tests.client.fake_answers import failure
from tests.client.fake_server import FakeServer


def test_model_and_status_are_documents_too(run: Run) -> None:
    """Times are ISO 8601."""
    assert document(run("model", "--json"))["hidden_size"] == 384
    assert document(run("status", "--json"))["start_time"] == "2023-11-14T22:13:20+00:00"


def test_status_compares_traversals_with_the_order_of_arrival(run: Run) -> None:
    """The figure that the scheduler is judged by."""
    words = lines(run("status"))

    assert ["traversals", "12", "made", "·", "480", "in", "the", "order", "of", "arrival", "(2.5%)"] in words
    assert ["pos", "3", "4.0", "ms"] in words


def test_status_tells_how_many_adapters_share_a_batch(run: Run) -> None:
    """And which way the forwards went, by name."""
    shown = run("status")

    assert "100, of 9.9 rows and 3.2 adapters on average" in shown.stdout
    assert ["kernels", "63", "segments", "·", "12", "switch", "·", "25", "uniform"] in lines(shown)


def test_adapters_list_walks_over_all_pages(run: Run, server: FakeServer) -> None:
    """One document with every adapter."""
    server.admin.adapters["third"] = adapter_admin_pb2.Adapter(id="third", state=5)  # type: ignore[arg-type]

    found = document(run("adapters", "list", "--json"))["adapters"]

    assert [(each["id"], each["state"]) for each in found] == [
        ("pos", "READY"),
        ("sentiment", "READY"),
        ("third", "FAILED"),
    ]
    listed = lines(run("adapters", "list"))
    assert ["pos", "READY", "token", "classification", "IA3", "switch", "4"] == listed[1][:7]
    assert ["sentiment", "READY", "sequence", "classification", "LORA", "r=8", "bank", "2"] == listed[2][:8]


def test_adapters_show_tells_who_shares_batches(run: Run, server: FakeServer) -> None:
    """In words; and nothing where the server says nothing."""
    server.admin.adapters["new"] = adapter_admin_pb2.Adapter(id="new", state=1)  # type: ignore[arg-type]

    bank, switch, new = (run("adapters", "show", name) for name in ("sentiment", "pos", "new"))

    assert ["executor", "bank", "(shares", "batches", "with", "other", "adapters)"] in lines(bank)
    assert ["executor", "switch", "(batches", "of", "its", "own)"] in lines(switch)
    assert "executor" not in new.stdout


def test_adapters_show_tells_why_a_load_failed(run: Run, server: FakeServer) -> None:
    """In the table as in the document."""
    broken = adapter_admin_pb2.Adapter(id="broken", state=5)  # type: ignore[arg-type]
    broken.error.CopyFrom(failure(grpc.StatusCode.FAILED_PRECONDITION, "w: shape", "BASE_MISMATCH", {"tensor": "w"}))
    server.admin.adapters["broken"] = broken

    assert ["error", "BASE_MISMATCH:", "w:", "shape"] in lines(run("adapters", "show", "broken"))
    assert document(run("adapters", "show", "broken", "--json"))["error"] == {
        "code": "FAILED_PRECONDITION",
        "reason": "BASE_MISMATCH",
        "message": "w: shape",
        "metadata": {"tensor": "w"},
    }


def test_adapters_show_shortens_what_is_long(run: Run, server: FakeServer) -> None:
    """What repeats in every layer is told once, and of hundreds of labels the first few."""
    large = adapter_admin_pb2.Adapter(id="large", target_modules=[f"layer.{n}.query" for n in range(12)])
    large.labels.extend(f"label{n}" for n in range(700))
    server.admin.adapters["large"] = large

    shown = lines(run("adapters", "show", "large"))

    assert ["targets", "layer.*.query"] in shown
    assert ["label19", "…", "680", "more", "(--json", "has", "them", "all)"] in [line[-8:] for line in shown]
    assert len(document(run("adapters", "show", "large", "--json"))["labels"]) == 700


def test_adapters_load_takes_a_relative_path_from_here(
    run: Run, server: FakeServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URI is sent as it is."""
    monkeypatch.chdir(tmp_path)

    result = run("adapters", "load", "new", "folder", "--label", "no", "--label", "yes", "--weight", "2")
    run("adapters", "load", "new", "file:///a/b", "--check")

    assert "loaded new@3fa9c1d2 · sequence classification · 2 labels · LORA r=8 · bank · 598.0 KiB\n" == result.stdout
    assert [request.uri for request in server.script.requests] == [  # type: ignore[attr-defined]
        str(tmp_path / "folder"),
        "file:///a/b",
    ]
    assert server.script.requests[0].labels == ["no", "yes"]  # type: ignore[attr-defined]


def test_adapters_unload_sends_its_options(run: Run, server: FakeServer) -> None:
    """And says what it did."""
    result = run("adapters", "unload", "pos", "--force", "--drain-timeout", "2")

    assert result.stdout == "unloaded pos\n"
    assert server.script.requests[0].force  # type: ignore[attr-defined]
    assert server.script.requests[0].drain_timeout.seconds == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(("service", "exit_code"), [("", 0), ("no.such.Service", 1)])
def test_health_exits_by_what_the_server_says(run: Run, service: str, exit_code: int) -> None:
    """For health checks of containers."""
    assert run("health", "--service", service).exit_code == exit_code


def test_health_is_1_where_the_server_drains(run: Run, server: FakeServer) -> None:
    """It still answers, and says so."""
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)

    result = run("health")

    assert (result.exit_code, result.stdout) == (1, "NOT_SERVING\n")


def test_health_is_1_where_nobody_answers(run: Run, server: FakeServer) -> None:
    """A container's health check knows 0 and 1 alone."""
    server.close()

    assert run("health").exit_code == 1


def test_the_version_is_the_packages(run: Run) -> None:
    """Stated at one place."""
    assert run("--version").stdout == f"adaptermux {__version__}\n"


def test_the_help_lists_the_exit_codes(run: Run) -> None:
    """They are part of the interface."""
    help_text = run("--help").stdout

    assert [code for code in ("0", "1", "2", "3", "4", "5", "130") if f" {code} " not in help_text] == []
