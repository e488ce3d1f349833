"""The runner: exit codes, JSON, and the table."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import BENCHMARKS, ENVIRONMENT, main
from benchmarks.report import Report, table

_FAKES = {"fake": "tests.benchmarks.fake_benchmark", "other": "tests.benchmarks.fake_benchmark"}
_ENV_KEYS = {"date", "cpu_model", "cpu_count", "python", "torch", "transformers", "peft", "grpcio"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runner sets is not for the tests after it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fake"], 0),
        (["fake", "--check"], 0),
        (["fake", "--quick"], 0),
        (["fake", "--quick", "--check"], 1),
        (["all", "--quick", "--check"], 1),
    ],
)
def test_exit_code(arguments: list[str], expected: int) -> None:
    """A missed target (the fake misses one when quick) is a failure only if it is checked."""
    assert expected == main(arguments, _FAKES)


def test_unknown_name_exits_with_2_and_names_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fakes"], _FAKES)

    assert caught.value.code == 2
    assert "'fake', 'other', 'all'" in capsys.readouterr().err


def test_json_holds_name_metrics_and_environment(tmp_path: Path) -> None:
    main(["fake", "--json", str(tmp_path / "out.json")], _FAKES)

    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {"name", "metrics", "env"} == document.keys()
    assert ("fake", {"ratio": 0.5, "speed": 4.0, "seconds": 1.5}) == (document["name"], document["metrics"])
    assert _ENV_KEYS == document["env"].keys()


def test_json_of_all_is_a_list_in_the_order_of_the_table(tmp_path: Path) -> None:
    main(["all", "--json", str(tmp_path / "out.json")], _FAKES)

    documents = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert list(_FAKES) == [document["name"] for document in documents]


def test_json_is_written_although_a_target_is_missed(tmp_path: Path) -> None:
    main(["fake", "--quick", "--check", "--json", str(tmp_path / "out.json")], _FAKES)

    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["metrics"]["ratio"] == 0.6


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [("<=", 1.0, True), ("<=", 1.1, False), (">=", 1.0, True), (">=", 0.9, False), ("<=", float("nan"), False)],
)
def test_meets(comparison: str, value: float, expected: bool) -> None:
    """A target includes its bound, and nothing but a number meets it."""
    report = Report("fake", {"metric": value}, {"metric": (comparison, 1.0)})

    assert expected == report.meets("metric")


def test_a_target_without_its_metric_is_a_bug_of_the_benchmark() -> None:
    report = Report("fake", {}, {"metric": ("<=", 1.0)})

    with pytest.raises(KeyError):
        _ = report.missed


def test_table_shows_targets_first_and_says_which_are_missed() -> None:
    console = Console(record=True, width=100)
    report = Report("fake", {"seconds": 1.5, "speed": 3.0, "ratio": 0.4}, {"speed": (">=", 4), "ratio": ("<=", 0.5)})

    console.print(table(report))

    lines = [line.split("│") for line in console.export_text().splitlines() if line.startswith("│")]
    rows = [tuple(cell.strip() for cell in line[1:-1]) for line in lines]
    assert [("speed", "3", ">= 4", "NO"), ("ratio", "0.4", "<= 0.5", "yes"), ("seconds", "1.5", "", "")] == rows


def test_every_benchmark_of_the_table_has_a_module() -> None:
    folder = Path(__file__).parents[2]

    missing = [name for name, module in BENCHMARKS.items() if not (folder / f"{module.replace('.', '/')}.py").exists()]

    assert [] == missing
